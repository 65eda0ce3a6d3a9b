"""Models on a server that speaks the Open Inference Protocol (KServe v2), by gRPC or HTTP."""
