#!/bin/sh
# kfp 2.17.0: while kfp.local runs a component, the root logger has none of the handlers of the program, and level INFO.
# A handler that the program has installed misses every record of that time, those of its own threads included; it is
# back afterwards. So pytest's caplog and a log file see nothing of a local run.
# Seen: records before and after the run arrive, those during it do not, neither kfp's own nor the program's.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check kfp==2.17.0

cat > "$folder/program.py" <<'PYTHON'
import logging
import threading

from kfp import dsl, local

records = []


class Keep(logging.Handler):
    def emit(self, record):
        records.append(record.getMessage())


keep = Keep()
logging.getLogger().addHandler(keep)
logging.getLogger().setLevel(logging.INFO)


@dsl.component(install_kfp_package=False)
def wait() -> str:
    import time

    time.sleep(2)
    return "done"


local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root="outputs")
during = threading.Event()


def own_thread():
    logging.info("of the program, during the run")
    during.set()


logging.info("before the run")
timer = threading.Timer(1, own_thread)
timer.start()
task = wait()
timer.join()
logging.info("after the run")

assert task.output == "done" and during.is_set()
kept = [text for text in records if "run" in text]
print("the program's handler got:", kept)
assert kept == ["before the run", "after the run"], "the behaviour has changed"
assert not any("wait" in text for text in records), "the behaviour has changed: kfp's records arrive"
assert keep in logging.getLogger().handlers
PYTHON
cd "$folder"
"$python" program.py
