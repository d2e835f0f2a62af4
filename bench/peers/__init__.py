"""The peers: one small server each, written the way its own documentation would.

Each serves `/echo` (text back), `/json` (a typed move, answered with its sum) and `/fanout` (each
message goes to every connection). Those of channels serve `/channel`: who connects is subscribed,
and each message is published; `BROKER_URL` is the address of their Redis.
"""
