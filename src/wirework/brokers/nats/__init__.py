"""The broker for NATS: core subjects deliver, JetStream keeps history and presence.

Subjects, all below the prefix; a channel's name is one token of them:

- `p.CHANNEL.*` is what subscribers listen to, one subscription for each channel and process;
- `p.CHANNEL.c` is published at once where nothing is kept;
- `h.CHANNEL` is history, `o.CHANNEL` what is kept only to be published once, `m.CHANNEL.KEY` who
  is present. They belong to streams, which republish what they have stored to `p.CHANNEL.*`: so
  everybody is told in the order of the stream, and never of what the stream has refused;
- `w.WORKER` is the lease of a process, `r.DIGEST` the position of an idempotent publication.

Offsets are numbered by the publisher, who states which message of the subject it believes to be
the last one. The stream refuses it if another process was first; then it looks, and tries again.

A stream has one limit for all its subjects, but sizes and times to live differ by channel. So the
stream of histories is limited only by `META_TTL`; a channel is trimmed to its size by who publishes
there, and emptied by who published last, after its time to live. Readers go by the size and the
time they are asked for, so that a process that died untidily costs space and no more. (A stream
for each size and time would have been trimmed by the server, but a changed setting would have
divided a channel among two of them.) The last message of a channel stays until `META_TTL`: it is
its position.
"""

from .broker import NatsBroker

__all__ = ["NatsBroker"]
