"""The wire: datagrams in, peers with their DTLS and SRTP, and the one thread that sends."""
