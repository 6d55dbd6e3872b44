"""A fleet's plan against forges on loopback: what is in and out, and why; what was renamed, moved, deleted; limits."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapshotter.archive.canonical import canonical
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, PartialFailure, Unavailable, UsageError
from snapshotter.base.observer import Observer
from snapshotter.base.settings import Settings
from snapshotter.capture.plan import RequestedOptions
from snapshotter.cli.documents import fleet_plan
from snapshotter.fleet import roster
from snapshotter.fleet.inventory_reading import read
from snapshotter.fleet.plan import FleetPlan, make
from snapshotter.fleet.roster import Change
from snapshotter.fleet.sources.opening import Reach, check_hosts, opened
from snapshotter.transport import WireLimits
from tests.support.forges import LIMITED, Forge, GitHub, GitLab, Hosted
from tests.support.git import Origin as Repository
from tests.support.githubapp import APP, INSTALLATION, GitHubApi, new_key
from tests.support.httpservers import Scripted, reply

FIVE = [
    Hosted(1, "psf/requests", wiki=True),
    Hosted(2, "psf/black"),
    Hosted(3, "psf/old", archived=True),
    Hosted(4, "psf/forked", fork=True),
    Hosted(5, "psf/pyperf"),
]


class Told(Observer):
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.stages: list[str] = []

    def stage(self, what: str, total: int | None = None) -> None:
        self.stages.append(what)

    def warn(self, what: str) -> None:
        self.warnings.append(what)


class Patient(Cancel):
    """Remembers how long it was to wait, and does not."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.check()


def planned(
    text: str,
    *,
    folder: Path = Path("/srv"),
    before: FleetPlan | None = None,
    told: Told | None = None,
    cancel: Cancel | None = None,
    **settings: str,
) -> FleetPlan:
    inventory = read(text.encode(), "fleet.toml", folder)
    reach = Reach.of(Settings(settings), WireLimits(), allow_http=False)
    observer = told or Told()
    sources = opened(inventory, reach, cancel or Patient(), observer)
    known = roster.read(json.dumps(fleet_plan(before)).encode()) if before else None
    return make(inventory, sources, observer, known)


def github(forge: Forge, more: str = "", owner: str = 'organisation = "psf"') -> str:
    return f'[[github]]\n{owner}\nurl = "{forge.url_of_pages}"\n{more}\n'


def gitlab(forge: Forge, more: str = "", group: str = "company") -> str:
    return f'[[gitlab]]\ngroup = "{group}"\nurl = "{forge.url_of_pages}"\n{more}\n'


def paths(plan: FleetPlan) -> list[str]:
    return [entry.path for entry in plan.entries]


def reasons(plan: FleetPlan) -> dict[str, str]:
    return {each.path: each.why for each in plan.left_out}


@pytest.fixture(params=[GitHub, GitLab])
def forge(request: pytest.FixtureRequest) -> Iterator[Forge]:
    with request.param(*(Hosted(**vars(each)) for each in FIVE)) as server:
        yield server


def source(forge: Forge, more: str = "") -> str:
    return github(forge, more) if isinstance(forge, GitHub) else gitlab(forge, more, "psf")


def test_three_pages_are_read_and_each_repository_says_why_it_is_in_or_out(forge: Forge) -> None:
    plan = planned(source(forge))
    assert paths(plan) == ["psf/requests", "psf/black", "psf/old", "psf/pyperf"]
    assert reasons(plan) == {"psf/forked": "a fork"}
    assert len([path for path in forge.asked if "per_page" in path]) == 3
    old = plan.entries[2]
    assert old.why.endswith("(archived)")
    assert old.origin.url == f"{forge.url_of_pages}/psf/old.git", "made of our own URL, not of the answer's"
    assert [(state.listed, state.taken, state.error) for state in plan.sources] == [(5, 4, None)]
    assert plan.ending is None


def test_archived_forks_and_wikis_are_by_choice(forge: Forge) -> None:
    plan = planned(source(forge, "archived = false\nforks = true\nwikis = true"))
    assert paths(plan) == ["psf/requests", "psf/requests.wiki", "psf/black", "psf/forked", "psf/pyperf"]
    assert reasons(plan) == {"psf/old": "archived"}
    wiki = plan.entries[1]
    assert (wiki.optional, wiki.origin.url) == (True, f"{forge.url_of_pages}/psf/requests.wiki.git")


def test_patterns_choose_and_one_that_matches_nothing_is_warned_of(forge: Forge) -> None:
    told = Told()
    plan = planned(source(forge, 'include = ["Req*", "p?perf", "web-*"]\nexclude = ["*perf"]'), told=told)
    assert paths(plan) == ["psf/requests"]
    assert reasons(plan)["psf/pyperf"] == "excluded by *perf"
    assert reasons(plan)["psf/black"] == "matches no pattern of include"
    assert len(told.warnings) == 1 and "web-*" in told.warnings[0]


def test_labels_and_options_of_a_source_go_with_each_of_its_repositories(forge: Forge) -> None:
    plan = planned(source(forge, 'labels = { team = "core" }\noptions = { scan = false }'))
    assert {(entry.labels["team"], entry.options.scan) for entry in plan.entries} == {("core", False)}


def test_what_the_inventory_names_itself_has_its_own_labels(forge: Forge) -> None:
    url = f"{forge.url_of_pages}/psf/black"
    plan = planned(f'[[repo]]\norigin = "{url}"\nlabels = {{ mine = "yes" }}\n' + source(forge))
    black = plan.entries[0]
    assert (black.labels, black.id, black.path) == ({"mine": "yes"}, "2", "psf/black")
    assert black.why.startswith("named in the inventory, and listed by")
    assert len(plan.entries) == 4


@pytest.mark.parametrize(
    ("headers", "status", "waited"),
    [
        ({"Retry-After": "17"}, 429, 17.0),
        ({"Retry-After": "17"}, 403, 17.0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, 403, 1.0),
    ],
)
def test_a_limit_is_waited_for_as_the_forge_asks(
    forge: Forge, headers: dict[str, str], status: int, waited: float
) -> None:
    told, cancel = Told(), Patient()
    forge.answers = [(status, headers, {"message": LIMITED})]
    plan = planned(source(forge), told=told, cancel=cancel)
    assert len(plan.entries) == 4
    assert cancel.waits == [waited]
    assert any("asks to wait" in stage for stage in told.stages)
    pages = [path for path in forge.asked if "per_page" in path]
    assert (len(pages), len({*pages})) == (4, 3), "the question was put once more, and no other"


def test_a_limit_of_hours_is_an_error_and_costs_no_other_source(forge: Forge) -> None:
    forge.answers = [(429, {"Retry-After": "7200"}, {"message": LIMITED})]
    cancel = Patient()
    plan = planned('[[repo]]\norigin = "https://git.example.org/a"\n' + source(forge), cancel=cancel)
    assert cancel.waits == []
    (state,) = plan.sources
    assert isinstance(state.error, Unavailable)
    assert state.error.code == "forge-limit"
    assert "2 hours" in state.error.hint
    assert isinstance(plan.ending, PartialFailure)


def test_trouble_that_passes_is_waited_out_and_trouble_that_stays_is_told(forge: Forge) -> None:
    forge.answers = [(502, {}, "<html>")] * 2
    assert len(planned(source(forge)).entries) == 4
    forge.answers = [(503, {}, "<html>")] * 9
    plan = planned(source(forge))
    assert isinstance(plan.ending, Unavailable) and plan.ending.exit_code == 4
    assert len(forge.answers) == 5, "four tries"


def test_a_rename_a_transfer_a_deletion_and_a_successor_are_told(forge: Forge) -> None:
    before = planned(source(forge))
    requests, black, old, forked, pyperf = forge.repositories
    requests.path = "psf/requests3"
    black.path = "other/black"
    forge.repositories.remove(old)
    forge.repositories.remove(pyperf)
    forge.repositories += [Hosted(9, "psf/pyperf"), Hosted(10, "psf/fresh")]
    plan = planned(source(forge), before=before)
    title = plan.sources[0].title
    assert {*plan.changes} == {
        Change("renamed", title, "psf/requests", "psf/requests3"),
        Change("transferred", title, "psf/black", "other/black"),
        Change("gone", title, "psf/old"),
        Change("gone", title, "psf/pyperf"),
        Change("replaced", title, "psf/pyperf", "psf/pyperf"),
        Change("new", title, "psf/pyperf", "psf/pyperf"),
        Change("new", title, "psf/fresh", "psf/fresh"),
    }
    assert forked.path in reasons(plan), "what was out and still is, is no change"


def test_nothing_is_told_of_a_source_that_did_not_answer(forge: Forge) -> None:
    before = planned(source(forge))
    forge.answers = [(500, {}, "")] * 4
    assert planned(source(forge), before=before).changes == []


def test_a_source_that_is_no_longer_in_the_inventory_is_told(forge: Forge) -> None:
    before = planned(source(forge))
    plan = planned('[[repo]]\norigin = "https://git.example.org/a"\n', before=before)
    assert {change.kind for change in plan.changes} == {"dropped"}
    assert len(plan.changes) == 5


def test_one_that_slips_between_two_pages_is_not_lost(forge: Forge) -> None:
    before = planned(source(forge))

    def delete_the_first(page: int) -> None:
        if page == 2:
            forge.repositories[:] = [each for each in forge.repositories if each.id != 1]

    forge.on_page = delete_the_first
    plan = planned(source(forge), before=before)
    assert "psf/old" in paths(plan), "it moved to the first page while the second was asked for"


def test_what_is_denied_is_said_to_be_and_nothing_of_the_token_is_shown(forge: Forge) -> None:
    forge.token = "right"
    tokens = json.dumps({forge.url_of_pages.partition("://")[2]: "hunter2"})
    for settings in ({}, {"SNAPSHOTTER_GIT_TOKENS": tokens}):
        plan = planned(source(forge), **settings)
        assert isinstance(plan.ending, AccessDenied)
        assert "hunter2" not in str(plan.ending.as_dict())


def test_the_token_is_that_of_the_host(forge: Forge) -> None:
    forge.token = "right"
    tokens = json.dumps({f"{forge.url_of_pages.partition('://')[2]}/psf": "somebody:right"})
    assert len(planned(source(forge), SNAPSHOTTER_GIT_TOKENS=tokens).entries) == 4


def test_a_token_that_expires_in_the_middle_is_made_anew(forge: Forge, tmp_path: Path) -> None:
    forge.token = "one"
    command = tmp_path / "token"
    command.write_text(f'#!/bin/sh\ncat "{tmp_path}/now"\n')
    command.chmod(0o755)
    (tmp_path / "now").write_text("one")

    def expire(page: int) -> None:
        if page == 1:
            forge.token = "two"
            (tmp_path / "now").write_text("two")

    forge.on_page = expire
    assert len(planned(source(forge), SNAPSHOTTER_GIT_TOKEN_COMMAND=str(command)).entries) == 4


def test_no_token_follows_a_redirect_to_another_host(forge: Forge) -> None:
    with Scripted(lambda _: [reply(200, {}, b"[]")]) as elsewhere:
        forge.answers = [(302, {"Location": elsewhere.url("x")}, "")] * 4
        tokens = json.dumps({forge.url_of_pages.partition("://")[2]: "hunter2"})
        plan = planned(source(forge), SNAPSHOTTER_GIT_TOKENS=tokens)
        assert isinstance(plan.ending, Unavailable)
        assert elsewhere.seen == []


def test_a_private_ca_is_trusted_when_named_and_only_then(forge: Forge, tls: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
    forge.over_tls(context)
    text = source(forge).replace("http://", "https://")
    assert len(planned(text, SNAPSHOTTER_CA_BUNDLE=str(tls / "ca.crt")).entries) == 4
    plan = planned(text)
    assert isinstance(plan.ending, Unavailable)
    assert "SNAPSHOTTER_CA_BUNDLE" in plan.ending.hint


def test_a_page_for_people_is_no_list(forge: Forge) -> None:
    forge.answers = [(200, {}, "<html>")]
    plan = planned(source(forge))
    assert isinstance(plan.ending, Unavailable)
    assert "none of a forge's API" in plan.ending.details[0]


def test_a_cancellation_ends_a_wait(forge: Forge) -> None:
    forge.answers = [(429, {"Retry-After": "60"}, {"message": LIMITED})]

    class Impatient(Cancel):
        def sleep(self, seconds: float) -> None:
            self.cancel(UsageError("stopped"))
            self.check()

    with pytest.raises(UsageError, match="stopped"):
        planned(source(forge), cancel=Impatient())


def test_a_user_s_private_repositories_are_listed_with_that_user_s_token() -> None:
    with GitHub(Hosted(1, "ada/x"), token="hers") as forge:
        forge.login = "Ada"
        forge.repositories[0].path = "Ada/x"
        tokens = json.dumps({forge.url_of_pages.partition("://")[2]: "hers"})
        plan = planned(github(forge, owner='user = "ada"'), SNAPSHOTTER_GIT_TOKENS=tokens)
        assert paths(plan) == ["Ada/x"]
        assert forge.asked[-1].startswith("user/repos?") and "affiliation=owner" in forge.asked[-1]


def test_an_app_lists_what_its_installation_sees_and_only_the_user_s() -> None:
    with GitHub(Hosted(1, "ada/x"), Hosted(2, "bob/y"), token="app") as forge:
        forge.login = None
        tokens = json.dumps({forge.url_of_pages.partition("://")[2]: "app"})
        plan = planned(github(forge, owner='user = "ada"'), SNAPSHOTTER_GIT_TOKENS=tokens)
        assert paths(plan) == ["ada/x"]


def test_repositories_that_the_token_may_not_see_are_warned_of() -> None:
    with GitHub(*FIVE) as forge:
        told = Told()
        planned(github(forge), told=told)
        assert told.warnings == []
        forge.unshown = 3
        planned(github(forge), told=told)
        assert len(told.warnings) == 1 and "has 8 repositories, and lists 5 to us" in told.warnings[0]


def test_an_organisation_that_was_renamed_redirects() -> None:
    with GitHub(*FIVE) as forge:
        there = f"{forge.url_of_pages}/api/v3/orgs/psf/repos?per_page=100&page=1"
        forge.answers = [(301, {"Location": there}, {"message": "Moved Permanently"})]
        assert len(planned(github(forge)).entries) == 4


def test_groups_in_a_group_are_by_choice_and_patterns_see_the_path_below() -> None:
    with GitLab(Hosted(1, "company/a"), Hosted(2, "company/deep/b")) as forge:
        assert paths(planned(gitlab(forge))) == ["company/a", "company/deep/b"]
        assert paths(planned(gitlab(forge, "subgroups = false"))) == ["company/a"]
        assert paths(planned(gitlab(forge, 'include = ["deep/*"]'))) == ["company/deep/b"]


def test_a_github_app_lists_and_its_token_is_made_anew_when_it_is_refused() -> None:
    key = new_key()
    with GitHub(*FIVE, token="first") as forge, GitHubApi(key, "first", "second") as api:

        def expire(page: int) -> None:
            if page == 2:
                forge.token = "second"

        forge.on_page = expire
        entry = {"app": APP, "installation": INSTALLATION, "key": key, "api": api.api}
        tokens = json.dumps({forge.url_of_pages.partition("://")[2] + "/psf": entry})
        plan = planned(github(forge), SNAPSHOTTER_GIT_TOKENS=tokens)
        assert (len(plan.entries), len(api.seen)) == (4, 2)


def test_a_repository_that_was_archived_since_is_out_and_not_gone(forge: Forge) -> None:
    before = planned(source(forge, "archived = false"))
    forge.repositories[1].archived = True
    plan = planned(source(forge, "archived = false"), before=before)
    assert (reasons(plan)["psf/black"], plan.changes) == ("archived", [])


def test_a_repository_that_two_sources_list_is_in_once() -> None:
    with GitLab(Hosted(1, "company/a"), Hosted(2, "company/deep/b")) as forge:
        plan = planned(gitlab(forge) + gitlab(forge, group="company/deep"))
        assert paths(plan) == ["company/a", "company/deep/b"]
        assert reasons(plan)["company/deep/b"].startswith("in already: listed by gitlab")


def test_a_name_that_climbs_is_left_out() -> None:
    with GitLab(Hosted(1, "company/../etc"), Hosted(2, "company/a")) as forge:
        plan = planned(gitlab(forge))
        assert paths(plan) == ["company/a"]
        assert reasons(plan)["company/../etc"].startswith("no origin: ")


def test_the_bare_repositories_of_a_folder_are_found(tmp_path: Path) -> None:
    for name in ("b.git", "team/a.git", "team/old.git"):
        Repository(tmp_path / "srv" / name).commit()
    Repository(tmp_path / "srv" / "tree" / ".git").commit()
    (tmp_path / "srv" / "link.git").symlink_to(tmp_path / "srv" / "b.git")
    text = '[[folder]]\npath = "srv"\nexclude = ["team/old"]\n'
    plan = planned(text, folder=tmp_path)
    assert [entry.origin.path for entry in plan.entries] == [
        str(tmp_path / "srv" / "b.git"),
        str(tmp_path / "srv" / "team" / "a.git"),
    ]
    Repository(tmp_path / "srv" / "c.git").commit()
    (tmp_path / "srv" / "b.git" / "HEAD").unlink()
    assert {(change.kind, change.path) for change in planned(text, folder=tmp_path, before=plan).changes} == {
        ("gone", "b.git"),
        ("new", "c.git"),
    }


def test_what_cannot_be_taken_by_its_name_is_left_out_in_words_that_can_be_kept(tmp_path: Path) -> None:
    odd = tmp_path / "srv" / os.fsdecode(b"n\xff.git")
    Repository(tmp_path / "srv" / "a.git").commit()
    (tmp_path / "srv" / "a.git").rename(odd)
    told = Told()
    plan = planned('[[folder]]\npath = "srv"\n', folder=tmp_path, told=told)
    (out,) = plan.left_out
    assert out.path == r"n\xff.git"
    assert canonical(out.path)
    assert "1 repository cannot be taken, such as n\\xff.git" in told.warnings[0]


def test_a_folder_without_a_bare_repository_says_what_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "srv" / "checkout" / ".git").mkdir(parents=True)
    told = Told()
    planned('[[folder]]\npath = "srv"\n', folder=tmp_path, told=told)
    assert told.warnings == [
        "folder srv has no bare repository, and others are not looked for: check its path"
    ]


def test_a_folder_that_is_not_there_is_not_empty(tmp_path: Path) -> None:
    plan = planned('[[folder]]\npath = "nowhere"\n', folder=tmp_path)
    assert isinstance(plan.ending, Unavailable)


def test_a_token_without_a_host_goes_with_one_host_only() -> None:
    text = b'[[github]]\nuser = "a"\n[[repo]]\norigin = "https://git.example.org/x"\n'
    inventory = read(text, "fleet.toml", Path("/srv"))
    check_hosts(inventory, Settings({}))
    with pytest.raises(UsageError) as raised:
        check_hosts(inventory, Settings({"SNAPSHOTTER_GIT_TOKEN": "hunter2"}))
    assert raised.value.code == "tokens"


def test_what_is_no_plan_is_no_roster() -> None:
    for document in (b"", b"[]", b'{"repos": 3}', b"\xff"):
        with pytest.raises(UsageError):
            roster.read(document)


def test_an_origin_s_wiki_is_an_entry_of_its_own_where_options_ask_for_it(tmp_path: Path) -> None:
    options = 'options = {wiki = true, refs = ["refs/heads/main"], scan = false}'
    text = f'[[repo]]\norigin = "https://h.test/a/x.git"\n{options}'
    made = make(read(text.encode(), "fleet.toml", tmp_path), [], Observer())
    assert [(entry.origin.url, entry.optional) for entry in made.entries] == [
        ("https://h.test/a/x.git", False),
        ("https://h.test/a/x.wiki.git", True),
    ]
    assert [entry.options for entry in made.entries] == [
        RequestedOptions(refs=["refs/heads/main"], scan=False, wiki=True),
        RequestedOptions(scan=False, refs=["*"], exclude_refs=[]),
    ]
