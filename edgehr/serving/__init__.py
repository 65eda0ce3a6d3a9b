"""Models for inference servers: repositories in the form that a server wants, and edgehr inside Triton and KServe."""
