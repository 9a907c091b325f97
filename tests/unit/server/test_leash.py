"""A leash: children end with their parent."""

import os
import signal
import subprocess
import sys

_PARENT = """
import subprocess, sys, time
from caravan.server.leash import Leash
code = "from caravan.server.leash import obey; import time; obey(); print('on', flush=True); time.sleep(60)"
with Leash() as leash:
    import os
    child = subprocess.Popen([sys.executable, "-c", code], pass_fds=(leash._watched,),
                             env={**os.environ, "CARAVAN_LEASH": str(leash._watched)}, stdout=subprocess.PIPE)
    child.stdout.readline()
    print(child.pid, flush=True)
    time.sleep(60)
"""


def test_a_child_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        import psutil

        try:
            psutil.Process(child).wait(10)
        except psutil.NoSuchProcess:
            return
        except psutil.TimeoutExpired:
            assert psutil.Process(child).status() == psutil.STATUS_ZOMBIE
