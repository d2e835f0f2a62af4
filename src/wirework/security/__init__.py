"""What keeps strangers out: who may connect, as whom, and how much they may do."""
