"""Which model goes to which kind of device, and the way there: a folder on any web server, and `edgehr pull`."""
