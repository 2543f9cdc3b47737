"""The log of a pod, to which several containers write."""

from __future__ import annotations

import threading

from standpipe.runners.pod_log import ContainerLog, PodLog


class Bytes:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


def test_lines_of_other_containers_have_their_name_in_front() -> None:
    log = Bytes()
    pod = PodLog(log)
    init, sidecar = ContainerLog(pod, "init"), ContainerLog(pod, "web")
    init.write(b"one\ntw")
    sidecar.write(b"listening\n")
    init.write(b"o")
    init.finish()
    sidecar.note("ended")
    assert log.data == b"[init] one\n[web] listening\n[init] two\n[web] ended\n"


def test_a_line_of_the_task_stays_whole() -> None:
    log = Bytes()
    pod = PodLog(log)
    sidecar = ContainerLog(pod, "web")
    pod.write(b"Loading ")
    sidecar.write(b"GET /\n")
    pod.write(b"done\n")
    pod.write(b"no line end")
    sidecar.write(b"GET /2\n")
    assert log.data == b"Loading done\n[web] GET /\nno line end"
    pod.finish()
    assert log.data == b"Loading done\n[web] GET /\nno line end\n[web] GET /2\n"


def test_a_task_that_never_ends_its_line_does_not_fill_the_memory() -> None:
    log = Bytes()
    pod = PodLog(log)
    sidecar = ContainerLog(pod, "web")
    pod.write(b"prompt> ")
    for _ in range(3000):
        sidecar.write(b"x" * 40 + b"\n")
    assert len(log.data) > 64 * 1024
    assert log.data.startswith(b"prompt> \n[web] x")


def test_a_line_without_an_end_is_written_in_pieces() -> None:
    log = Bytes()
    ContainerLog(PodLog(log), "web").write(b"y" * 9000)
    assert log.data == b"[web] " + b"y" * 9000 + b"\n"


def test_nothing_is_lost_with_several_threads() -> None:
    log = Bytes()
    pod = PodLog(log)

    def write(name: str) -> None:
        own = ContainerLog(pod, name)
        for number in range(500):
            own.write(f"{number}\n".encode())

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for number in range(500):
        pod.write(f"task {number}\n".encode())
    for thread in threads:
        thread.join()
    pod.finish()
    lines = log.data.decode().splitlines()
    for prefix in ("[a] ", "[b] ", "task "):
        own = [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]
        assert own == [str(number) for number in range(500)]
