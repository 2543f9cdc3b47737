"""Credentials in the URLs of packages and indexes, kept off command lines, which all users of a machine can read.

Installers get them by their environment, which only the same user can read, or on standard input. `git`, which they
start with the URL of a repository, gets them by a credential helper in its configuration; that is in its environment,
too (`GIT_CONFIG_COUNT` in git-config(1)).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote, urlsplit

#: A URL with a user, and a password, which may contain `@`: it ends at the last one before the path.
_URL = re.compile(r"(?P<scheme>(?:git\+)?https?://)(?P<login>[^/\s]+)@(?P<rest>[^/\s]+(?P<path>[^\s@#?]*))")

#: Runs pip with arguments, and with a file of passwords, from a variable. Where that is possible, the file is in memory
#: and has no name, so that nothing is left of it if pip is killed. The processes that pip starts can read it, too.
_PIP_PROGRAM = """\
import json, os, runpy, sys, tempfile
arguments, passwords = json.loads(os.environ.pop('STANDPIPE_PIP'))
sys.argv[1:] = arguments
try:
    netrc = open(os.memfd_create('netrc'), 'w')
    name = '/proc/%d/fd/%d' % (os.getpid(), netrc.fileno())
except (AttributeError, OSError):
    netrc = tempfile.NamedTemporaryFile('w', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
    name = netrc.name
with netrc:
    netrc.write(passwords)
    netrc.flush()
    if passwords:
        os.environ['NETRC'] = name
    runpy.run_module('pip', run_name='__main__', alter_sys=True)
"""

#: What git asks for a user and a password. Its own arguments have only the names of the variables.
_GIT_HELPER = '!f() { printf \'username=%s\\npassword=%s\\n\' "$STANDPIPE_GIT_USER_N" "$STANDPIPE_GIT_PASSWORD_N"; }; f'


def has_credentials(text: str) -> bool:
    """Return whether a text has a URL with a user or a password, which may be a token."""
    return _URL.search(text) is not None


def move_git_credentials(texts: Sequence[str], environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return requirements without the credentials of git repositories, and variables with which git knows them.

    Args:
        texts: the requirements, such as `git+https://user:token@host/repository`.
        environ: the variables that the installer gets besides; they may configure git in the same way.
    """
    number = first = int(environ.get("GIT_CONFIG_COUNT") or 0)
    moved: list[str] = []
    variables: dict[str, str] = {}
    for text in texts:
        url = _URL.search(text)
        if url and url["scheme"].startswith("git+"):
            user, _, password = url["login"].partition(":")
            server = f"{url['scheme'][len('git+') :]}{url['rest'].partition('/')[0]}"
            variables |= {
                f"GIT_CONFIG_KEY_{number}": f"credential.{server}{url['path']}.helper",
                f"GIT_CONFIG_VALUE_{number}": _GIT_HELPER.replace("_N", f"_{number}"),
                f"STANDPIPE_GIT_USER_{number}": unquote(user),
                f"STANDPIPE_GIT_PASSWORD_{number}": unquote(password),
            }
            number += 1
            text = text.replace(f"{url['login']}@", "", 1)
        moved.append(text)
    if number > first:
        variables["GIT_CONFIG_COUNT"] = str(number)
    return moved, variables


def pip_command(python: str, words: Sequence[str], environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return the command of a `pip` with some arguments, and variables for it.

    Args:
        python: the interpreter that has pip.
        words: the arguments of pip.
        environ: the variables that pip gets besides.
    """
    if not any(map(has_credentials, words)):
        return [python, "-m", "pip", *words], {}
    words, variables = move_git_credentials(words, environ)
    words, passwords = _move_to_netrc(words)
    return [python, "-c", _PIP_PROGRAM], {**variables, "STANDPIPE_PIP": json.dumps([words, passwords])}


def _move_to_netrc(words: Iterable[str]) -> tuple[list[str], str]:
    """Return arguments without credentials, and the netrc file that has them.

    That file has one login for a host. A host with several keeps them in its URLs, which pip, unlike other arguments,
    passes on to the processes in which it builds packages from their source.
    """
    words = list(words)
    logins: dict[str, set[str]] = {}
    urls = [url for word in words for url in _URL.finditer(word)]
    for url in urls:
        logins.setdefault(_host(url), set()).add(url["login"])
    lines = []
    for host, (login, *others) in logins.items():
        if not others:
            user, _, password = login.partition(":")
            lines.append(f"machine {host} login {json.dumps(unquote(user))} password {json.dumps(unquote(password))}\n")
            words = [word.replace(f"//{login}@", "//") for word in words]
    return words, "".join(lines)


def _host(url: re.Match[str]) -> str:
    return urlsplit(f"//{url['rest']}").hostname or ""
