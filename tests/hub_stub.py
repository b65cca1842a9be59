"""A stub of the Hub on loopback, with the routes that huggingface_hub needs for a model."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

TOKENS = {"token-of-user": "user", "token-of-other": "other"}
REPO = r"(?P<repo>[\w.-]+(?:/[\w.-]+)?)"
WEIGHTS = (".safetensors", ".png")  # kept in the large file storage


@dataclass
class Repo:
    """A repository; each commit is a complete tree, from path to content."""

    private: bool
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, branch: str, tree: dict[str, bytes]) -> str:
        sha = hashlib.sha1(f"{len(self.commits)}{branch}{sorted(tree)}".encode()).hexdigest()
        self.commits[sha], self.branches[branch] = tree, sha
        return sha

    def files(self, branch: str = "main") -> dict[str, bytes]:
        return self.commits[self.branches[branch]]


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, code: str = "", message: str = "", url: str = "") -> None:
        super().__init__(status, code, message)
        self.status, self.headers = status, {"X-Error-Code": code, "X-Error-Message": message}
        self.body = json.dumps({"error": message, "url": url}).encode()


class HubStub(ThreadingHTTPServer):
    """A stub of the Hub that holds everything in memory.

    `broken` and `loses` are patterns of "METHOD path": the first cuts the connection before the
    request is handled, the second after it.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.broken: str | None = None
        self.loses: str | None = None

    def environment(self, home: object, token: str | None = "token-of-user") -> dict[str, str]:
        """The environment variables of a client's process."""
        variables = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
        }
        return variables if token is None else variables | {"HF_TOKEN": token}


@contextmanager
def running_stub() -> Iterator[HubStub]:
    """Run a stub on a free port."""
    with HubStub() as stub:
        thread = threading.Thread(target=stub.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield stub
        finally:
            stub.shutdown()
            thread.join()


class Handler(BaseHTTPRequestHandler):
    """One method per route; each returns a body and headers."""

    protocol_version = "HTTP/1.1"
    server: HubStub

    def answer(self):
        content = self.read_body()
        path = unquote(self.path.partition("?")[0])
        request = f"{self.command} {path}"
        self.server.requests.append(request)
        if self.server.broken and re.search(self.server.broken, request):
            self.close_connection = True
            return None  # no answer, as if the network were down
        try:
            for pattern, route in ROUTES:
                if found := re.fullmatch(pattern, request):
                    body, headers = route(self, content, **found.groupdict())
                    if self.server.loses and re.search(self.server.loses, request):
                        self.close_connection = True
                        return None
                    return self.send(200, body, headers)
            raise Refusal(404, "EntryNotFound")
        except Refusal as refusal:
            return self.send(refusal.status, refusal.body, refusal.headers)

    do_GET = do_HEAD = do_POST = do_PUT = answer

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        start = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if start and status == 200:
            whole, status = len(body), 206
            first, last = int(start[1]), int(start[2] or whole - 1)
            body = body[first : last + 1]
            headers = headers | {"Content-Range": f"bytes {first}-{last}/{whole}"}
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def user(self) -> str | None:
        """The user of the request's token, `None` without one."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in TOKENS:
            raise Refusal(401, message="Invalid credentials in Authorization header")
        return TOKENS.get(token)

    def repo(self, name: str, writes: bool = False) -> Repo:
        """A repository, if the user may read it or, with `writes`, write to it."""
        user, found, owner = self.user(), self.server.repos.get(name), name.partition("/")[0]
        if found is None or (found.private and user != owner):
            raise Refusal(404 if user else 401, "RepoNotFound", "Invalid username or password.")
        if writes and user != owner:
            raise Refusal(403, message=f"you may not write to {name}")
        return found

    def revision(self, name: str, revision: str) -> tuple[str, dict[str, bytes]]:
        repo = self.repo(name)
        sha = repo.branches.get(revision, revision)
        if sha not in repo.commits:
            raise Refusal(404, "RevisionNotFound")
        return sha, repo.commits[sha]

    def whoami(self, _: bytes):
        if (user := self.user()) is None:
            raise Refusal(401, message="Invalid username or password.")
        return reply({"name": user, "type": "user", "orgs": []})

    def create(self, content: bytes):
        asked = json.loads(content)
        user = self.user()
        owner = asked.get("organization") or user
        if user is None:
            raise Refusal(401, message="Invalid username or password.")
        if owner != user:
            raise Refusal(403, message=f"you may not create a repository of {owner}")
        name = f"{owner}/{asked['name']}"
        url = f"{self.server.url}/{name}"
        if name in self.server.repos:
            raise Refusal(409, "", "You already created this model repo", url)
        self.server.repos[name] = Repo(private=asked.get("visibility") == "private")
        self.server.repos[name].commit("main", {".gitattributes": b"*.safetensors filter=lfs\n"})
        return reply({"url": url})

    def validate(self, _: bytes):
        return reply({"errors": [], "warnings": []})

    def branch(self, _: bytes, repo: str, branch: str):
        found = self.repo(repo, writes=True)
        if branch in found.branches:
            raise Refusal(409, message="Reference already exists")
        found.branches[branch] = found.branches["main"]
        return reply({})

    def preupload(self, content: bytes, repo: str, revision: str):
        tree = self.repo(repo, writes=True).files(revision)
        paths = [file["path"] for file in json.loads(content)["files"]]
        files = [
            {
                "path": path,
                "uploadMode": "lfs" if path.endswith(WEIGHTS) else "regular",
                "shouldIgnore": False,
                "oid": oid(path, tree[path]) if path in tree else None,
            }
            for path in paths
        ]
        return reply({"files": files})

    def batch(self, content: bytes, repo: str):
        self.repo(repo, writes=True)
        objects = json.loads(content)["objects"]
        for blob in objects:
            if blob["oid"] not in self.server.blobs:
                href = f"{self.server.url}/lfs/{blob['oid']}"
                blob["actions"] = {"upload": {"href": href}}
        return reply({"transfer": "basic", "objects": objects})

    def put(self, content: bytes, blob: str):
        assert hashlib.sha256(content).hexdigest() == blob
        self.server.blobs[blob] = content
        return reply({})

    def commit(self, content: bytes, repo: str, revision: str):
        found = self.repo(repo, writes=True)
        tree = dict(found.files(revision))
        for item in map(json.loads, content.splitlines()):
            value = item["value"]
            if item["key"] == "file":
                tree[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                tree[value["path"]] = self.server.blobs[value["oid"]]
            elif item["key"] == "deletedFile":
                del tree[value["path"]]
        sha = found.commit(revision, tree)
        return reply({"commitOid": sha, "commitUrl": f"{self.server.url}/{repo}/commit/{sha}"})

    def info(self, _: bytes, repo: str, revision: str = "main"):
        sha, tree = self.revision(repo, revision)
        files = [{"rfilename": path, "size": len(tree[path])} for path in sorted(tree)]
        private = self.server.repos[repo].private
        return reply({"id": repo, "sha": sha, "private": private, "siblings": files})

    def tree(self, _: bytes, repo: str, revision: str, under: str = ""):
        _, tree = self.revision(repo, revision)
        paths = [path for path in sorted(tree) if path.startswith(under or "")]
        if not paths:
            raise Refusal(404, "EntryNotFound")
        return reply(
            [
                {"type": "file", "path": path, "size": len(tree[path]), "oid": oid("", tree[path])}
                for path in paths
            ]
        )

    def resolve(self, _: bytes, repo: str, revision: str, path: str):
        sha, tree = self.revision(repo, revision)
        if path not in tree:
            raise Refusal(404, "EntryNotFound")
        return tree[path], {"X-Repo-Commit": sha, "ETag": f'"{oid(path, tree[path])}"'}


def reply(value: object) -> tuple[bytes, dict[str, str]]:
    return json.dumps(value).encode(), {"Content-Type": "application/json"}


def oid(path: str, content: bytes) -> str:
    """The id of a content in Git or in the large file storage."""
    if path.endswith(WEIGHTS):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


API = f"/api/models/{REPO}"
ROUTES = [
    (r"GET /api/whoami-v2", Handler.whoami),
    (r"POST /api/repos/create", Handler.create),
    (r"POST /api/validate-yaml", Handler.validate),
    (rf"POST {API}/branch/(?P<branch>.+)", Handler.branch),
    (rf"POST {API}/preupload/(?P<revision>.+)", Handler.preupload),
    (rf"POST {API}/commit/(?P<revision>.+)", Handler.commit),
    (rf"POST /{REPO}\.git/info/lfs/objects/batch", Handler.batch),
    (r"PUT /lfs/(?P<blob>\w+)", Handler.put),
    (rf"GET {API}", Handler.info),
    (rf"GET {API}/revision/(?P<revision>.+)", Handler.info),
    (rf"GET {API}/tree/(?P<revision>[^/]+)(?:/(?P<under>.+))?", Handler.tree),
    (rf"(?:GET|HEAD) /{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", Handler.resolve),
]
