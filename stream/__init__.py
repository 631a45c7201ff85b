"""The picture: a WebRTC relay that forwards packets and never decodes them. Knows nothing of shops."""
