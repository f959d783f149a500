"""Images as tasks: files fetched, unpacked, decoded and kept, and the batches made of them."""
