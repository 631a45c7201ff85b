"""Auctions as they happen: announced and bid on (counter, floor), closed and charged (auctioneer)."""
