//! AF_XDP: memory region, UMEM, rings, sockets, frame ledger.
