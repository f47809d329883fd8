"""The way of one request, hop by hop, as the kernels are programmed to send it. Pure."""
