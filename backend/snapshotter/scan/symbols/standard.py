"""Modules that come with a language: where a bare name is one of these, no file of the repository is meant."""

from __future__ import annotations

from typing import Final

# Python 3.8 to 3.14, without those that begin with an underscore.
_PYTHON: Final = frozenset(
    """abc aifc annotationlib antigravity argparse array ast asynchat asyncio asyncore atexit audioop base64 bdb
    binascii binhex bisect builtins bz2 cProfile calendar cgi cgitb chunk cmath cmd code codecs codeop collections
    colorsys compileall compression concurrent configparser contextlib contextvars copy copyreg crypt csv ctypes curses
    dataclasses datetime dbm decimal difflib dis distutils doctest email encodings ensurepip enum errno faulthandler
    fcntl filecmp fileinput fnmatch formatter fractions ftplib functools gc genericpath getopt getpass gettext glob
    graphlib grp gzip hashlib heapq hmac html http idlelib imaplib imghdr imp importlib inspect io ipaddress itertools
    json keyword lib2to3 linecache locale logging lzma mailbox mailcap marshal math mimetypes mmap modulefinder msilib
    msvcrt multiprocessing netrc nis nntplib nt ntpath numbers opcode operator optparse os ossaudiodev parser pathlib
    pdb pickle pickletools pipes pkgutil platform plistlib poplib posix posixpath pprint profile pstats pty pwd
    py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re readline reprlib resource rlcompleter runpy sched
    secrets select selectors shelve shlex shutil signal site smtpd smtplib sndhdr socket socketserver spwd sqlite3
    sre_compile sre_constants sre_parse ssl stat statistics string stringprep struct subprocess sunau symbol symtable
    sys sysconfig syslog tabnanny tarfile telnetlib tempfile termios textwrap this threading time timeit tkinter token
    tokenize tomllib trace traceback tracemalloc tty turtle turtledemo types typing unicodedata unittest urllib uu uuid
    venv warnings wave weakref webbrowser winreg winsound wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib
    zoneinfo""".split()
)
# Of those, the packages: below any other name there is nothing but what the repository puts there.
_PYTHON_PACKAGES: Final = frozenset(
    """asyncio collections compression concurrent ctypes curses dbm distutils email encodings ensurepip html http
    idlelib importlib json lib2to3 logging msilib multiprocessing os pathlib pydoc_data re sqlite3 string sysconfig
    tkinter tomllib turtledemo unittest urllib venv wsgiref xml xmlrpc zipfile zoneinfo""".split()
)
_RUBY: Final = frozenset(
    """English abbrev base64 benchmark bigdecimal bundler cgi coverage csv date delegate did_you_mean digest drb
    erb etc expect fcntl fiddle fileutils find forwardable getoptlong io/console io/nonblock io/wait ipaddr irb
    json logger matrix minitest monitor mutex_m net/ftp net/http net/https net/imap net/pop net/protocol net/smtp nkf
    objspace observer open-uri open3 openssl optparse ostruct pathname pp prettyprint prime pstore psych pty racc rake
    random/formatter rbconfig rdoc readline reline resolv rinda ripper rubygems securerandom set shellwords singleton
    socket stringio strscan syslog tempfile test/unit time timeout tmpdir tracer tsort un unicode_normalize uri weakref
    webrick win32ole yaml zlib""".split()
)
_NODE: Final = frozenset(
    """assert async_hooks buffer child_process cluster console constants crypto dgram diagnostics_channel dns domain
    events fs http http2 https inspector module net os path perf_hooks process punycode querystring readline repl
    stream string_decoder sys timers tls trace_events tty url util v8 vm wasi worker_threads zlib assert/strict
    dns/promises fs/promises inspector/promises path/posix path/win32 readline/promises stream/consumers
    stream/promises stream/web timers/promises util/types""".split()
)


def of_python(parts: list[str]) -> bool:
    """Whether an absolute import of these names means Python's own: ``json.tool`` does, ``cmd.serve`` does not."""
    return parts[0] in _PYTHON and (len(parts) == 1 or parts[0] in _PYTHON_PACKAGES)


def of_ruby(feature: str) -> bool:
    """Whether Ruby itself has this feature."""
    return feature in _RUBY


def of_node(module: str) -> bool:
    """Whether Node has a module of this name; its own come first there, whatever a repository holds."""
    return module.startswith("node:") or module in _NODE
