"""Which networks exist, and how one is trained."""
