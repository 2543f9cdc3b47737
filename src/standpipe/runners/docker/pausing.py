"""Pauses of containers that do not run a Python component: a shell around their command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from standpipe.model.attempts import CommandLine, DebugPause, TaskRequest
from standpipe.runners.pauses import pause_file

#: A shell script that runs its arguments from the third on, and pauses before or after that. It does what
#: `worker/pausing.py` does. The first argument is the file that exists during a pause, the second has the places.
_SCRIPT = """
file=$1 places=$2
shift 2
pause() {
    echo "$1" > "$file"
    echo "[paused $1; to let it continue, remove $file]"
    while [ -e "$file" ]; do sleep 1; done
}
case $places in *before*) pause "before it runs" ;; esac
"$@"
code=$?
if [ $code = 0 ]; then
    case $places in *success*) pause "after it has succeeded" ;; esac
else
    case $places in *failure*) pause "after it has failed" ;; esac
fi
exit $code
"""


def pausing_command(request: TaskRequest, pause: DebugPause, image: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a container that pauses runs, as arguments of the engine. The image needs `sh` and `sleep`.

    Args:
        request: the attempt, which runs a command.
        pause: where it pauses.
        image: the attributes of its image, which has the command if the component has none.
    """
    assert isinstance(request.program, CommandLine), "other programs pause by themselves"
    command, args = list(request.program.command), list(request.program.args)
    if not command:
        command = list(image["Config"].get("Entrypoint") or ())
        args = args or list(image["Config"].get("Cmd") or ())
    places = {"before": pause.before, "success": pause.after_success, "failure": pause.after_failure}
    chosen = ",".join(place for place, is_chosen in places.items() if is_chosen)
    entrypoint = ["sh", "-c", _SCRIPT, "sh", str(pause_file(request.folder)), chosen]
    return {"entrypoint": entrypoint, "command": [*command, *args]}
