"""Several Daphnes behind one port, which have its socket in common."""

import signal
import socket
import subprocess
import sys

port, count, application = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
sock = socket.create_server(("127.0.0.1", port), backlog=1024)
fd = sock.fileno()
command = [sys.executable, "-m", "daphne", "-v", "0", "--fd", str(fd), application]
workers = [subprocess.Popen(command, pass_fds=(fd,)) for _ in range(count)]


def end(*_):
    for worker in workers:
        worker.terminate()


signal.signal(signal.SIGTERM, end)
for worker in workers:
    worker.wait()
