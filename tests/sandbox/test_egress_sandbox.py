"""The way out as a job has it: from inside of real sandboxes, to real TLS servers, through a real proxy process."""

import asyncio
import json
import re

import pytest
from egress_fleet import ASK, INSIDE, EgressFleet, lines
from egress_world import API, FILES, OTHER, SECRET, Upstream
from sandbox_daemon import eventually, programs, source

NEAR_THE_FORWARDER = re.compile("runner|frames|descriptors|processes|network|listeners|metadata|daemons|process_one")
"""Of the programs that attack any sandbox, those for which it matters who else is in there."""
THE_WAY_OUT = {"/run/egress proxy.sock", "tcp 0100007F:0C38", "3128"}
"""As those programs see it: the mounted socket, and the forwarder's port."""


async def test_a_python_job_reaches_its_domains_and_no_others(egress_fleet: EgressFleet) -> None:
    """The programs that people run know proxies by these variables."""
    await egress_fleet.healthy()
    urls = [f"http://{API}/a", f"http://{FILES}/chunks", f"http://{INSIDE}/", f"http://{OTHER}/", f"https://{OTHER}/"]
    code = ASK + f"for url in {urls!r}: print(json.dumps(ask(url)))"
    api, files, inside, other, other_tls = lines(await egress_fleet.run("python", code))
    assert (api[0], json.loads(api[1])["path"]) == (200, "/a")
    assert files == [200, "one two three"]
    assert (inside[0], other[0]) == (403, 403)
    assert OTHER in other[1]
    assert other_tls[0] == 0
    assert "403" in other_tls[1]


async def test_a_job_makes_its_own_tls_in_a_tunnel(egress_fleet: EgressFleet) -> None:
    """Most clients speak TLS themselves."""
    await egress_fleet.healthy()
    code = "import os; os.environ['SSL_CERT_FILE'] = '/job/authority.pem'\n" + ASK
    ((status, body),) = lines(await egress_fleet.run("python", code + f"print(json.dumps(ask('https://{FILES}/t')))"))
    assert (status, json.loads(body)["path"]) == (200, "/t")


async def test_nodes_fetch_finds_the_way(egress_fleet: EgressFleet) -> None:
    """It tunnels everything, also what is not TLS."""
    await egress_fleet.healthy()
    code = f"fetch('http://{API}/n').then(r => r.json()).then(j => console.log(JSON.stringify(j)))"
    (found,) = lines(await egress_fleet.run("node", code))
    assert found["path"] == "/n"


async def test_a_job_never_sees_the_credential(egress_fleet: EgressFleet, egress_upstream: Upstream) -> None:
    """Neither in its environment and files, nor in what a server repeats."""
    await egress_fleet.healthy()
    code = (
        ASK + "import os, subprocess\n"
        f"print(json.dumps(ask('http://{API}/reflect-body', Authorization='Bearer mine')))\n"
        f"print(json.dumps(ask('http://{API}/reflect-header')))\n"
        "seen = subprocess.run('env; cat /proc/*/environ /proc/*/cmdline /run/egress/* 2>/dev/null', shell=True,"
        " capture_output=True).stdout\n"
        "print(json.dumps(seen.decode(errors='replace')))"
    )
    result = await egress_fleet.run("python", code)
    assert SECRET[:12] not in result.stdout.decode() + result.stderr.decode()
    assert any(("authorization", f"Bearer {SECRET}") in asked["headers"] for asked in egress_upstream.asked)
    assert "HTTPS_PROXY=http://127.0.0.1:3128" in lines(result)[2]


async def test_what_jobs_did_is_noted_without_paths_or_headers(egress_fleet: EgressFleet) -> None:
    """An operator has to see who went where, and must not see what was said there."""
    await egress_fleet.healthy()
    code = ASK + f"ask('http://{API}/a-secret-path?token=in-the-query', Cookie='in-a-header'); ask('http://{OTHER}/x')"
    await egress_fleet.run("python", code, tenant="noted")

    async def both() -> bool:
        return len([each for each in egress_fleet.noted() if each["tenant"] == "noted"]) == 2

    await eventually(both, 10, "both requests to be noted")
    allowed, refused = (each for each in egress_fleet.noted() if each["tenant"] == "noted")
    assert (allowed["host"], allowed["verdict"], refused["host"], refused["verdict"]) == (
        API,
        "allowed",
        OTHER,
        "domain",
    )
    assert allowed["sent_bytes"] > 0 < allowed["received_bytes"]
    assert allowed["job_id"] == refused["job_id"]
    for secret in ("a-secret-path", "in-the-query", "in-a-header", SECRET):
        assert secret not in egress_fleet.log() + egress_fleet.daemon.log()
    text = await egress_fleet.daemon.client.metrics()
    assert 'containers_started_total{template="default"}' in text


async def test_a_hostile_job_gets_nowhere(egress_fleet: EgressFleet) -> None:
    """Each of these is a way that some proxy of this kind has had."""
    await egress_fleet.healthy()
    result = await egress_fleet.run("python", source("egress/every_way_round.python"), seconds=60)
    assert result.stdout.decode() == "MARKER []\n", result


async def test_a_second_job_can_be_attacked_through_no_socket_of_the_first(egress_fleet: EgressFleet) -> None:
    """Two sandboxes run at once, and each has one socket: its own."""
    await egress_fleet.healthy()
    code = "import os, time\nprint(os.stat('/run/egress/proxy.sock').st_ino, flush=True)\ntime.sleep(1)"
    first, second = await asyncio.gather(egress_fleet.run("python", code), egress_fleet.run("python", code))
    assert first.stdout != second.stdout
    assert first.exit_code == second.exit_code == 0


@pytest.mark.parametrize("program", [name for name in programs("attacks") if NEAR_THE_FORWARDER.search(name)])
async def test_an_attack_achieves_no_more_where_there_is_a_way_out(egress_fleet: EgressFleet, program: str) -> None:
    """The forwarder runs as the job's user: it must be no weak spot beside the runner."""
    await egress_fleet.healthy()
    language, code = program.rpartition(".")[2], source(program)
    first_line = code.splitlines()[0]
    expected = [first_line.removeprefix("# achieves: ")] if first_line.startswith("# achieves: ") else []
    marker = {"python": "\nprint('MARKER')", "bash": "\necho MARKER"}[language]
    result = await egress_fleet.run(language, code + marker)
    output = result.stdout.decode(errors="replace")
    assert "MARKER\n" in output, (result, output)
    found = re.findall(r"^ACHIEVED (.*)$", output, re.MULTILINE)
    assert [each for each in found if each not in THE_WAY_OUT] == expected


async def test_a_large_answer_arrives_whole_in_a_sandbox(egress_fleet: EgressFleet) -> None:
    """The last bytes were lost where the proxy closed a connection before they were out."""
    await egress_fleet.healthy()
    code = ASK + f"print(json.dumps([len(ask('http://{FILES}/large')[1]) for _ in range(5)]))"
    assert lines(await egress_fleet.run("python", code)) == [[4_000_000] * 5]
