"""What every publisher of checkpoints must do, wherever it keeps them."""

from __future__ import annotations

import asyncio
import fcntl
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.kernel.errors import InvalidInput, NotFound, Unavailable, VersionConflict
from engine.ledger.transparency.merkle import Frontier
from engine.ledger.transparency.notes import Checkpoint, Signer, signed
from engine.ledger.transparency.proofs import LogContradiction
from engine.ledger.transparency.publication import (
    CheckpointPublisher,
    Succession,
    open_publisher,
    publisher_kinds,
)
from tests.contracts.leaves import FORGED, LOG, NEXT, ORIGIN, SIGNER
from tests.contracts.s3_server import CREDENTIALS, S3Server


def _in_objects(request: pytest.FixtureRequest) -> str:
    server: S3Server = request.getfixturevalue("s3")
    return f"//{server.bucket()}/a/place"


def _in_files(request: pytest.FixtureRequest) -> str:
    directory: Path = request.getfixturevalue("tmp_path")
    return str(directory / "a place")


LOCATIONS: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "file": _in_files,
    "s3": _in_objects,
}
"""For each kind, a fresh location: a new kind adds itself here."""


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server().running() as running:
        yield running


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    server.calm()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture(params=list(publisher_kinds()))
def address(request: pytest.FixtureRequest) -> str:
    return f"{request.param}:{LOCATIONS[request.param](request)}"


@pytest.fixture
def publisher(address: str) -> CheckpointPublisher:
    return open_publisher(address)


async def published(publisher: CheckpointPublisher, *sizes: int) -> str:
    latest: str | None = None
    for size in sizes:
        succession = Succession(None) if latest is None else await LOG.after(latest, size)
        latest = LOG.note(size)
        await publisher.publish("acme", latest, succession)
    assert latest is not None
    return latest


async def test_there_is_nothing_before_the_first(publisher: CheckpointPublisher) -> None:
    assert await publisher.latest("acme") is None
    assert list(await publisher.history("acme")) == []


async def test_the_latest_and_the_whole_history_are_kept(
    publisher: CheckpointPublisher, address: str
) -> None:
    await published(publisher, 0, 2, 3, 5)
    again = open_publisher(address)
    assert await again.latest("acme") == LOG.note(5)
    assert list(await again.history("acme")) == [LOG.note(size) for size in (0, 2, 3, 5)]
    assert await again.latest("other") is None


async def test_publishing_the_latest_again_changes_nothing(publisher: CheckpointPublisher) -> None:
    latest = await published(publisher, 2, 4)
    await publisher.publish("acme", latest, Succession(None))
    assert list(await publisher.history("acme")) == [LOG.note(2), LOG.note(4)]


async def test_a_checkpoint_that_does_not_continue_the_latest_is_refused(
    publisher: CheckpointPublisher,
) -> None:
    latest = await published(publisher, 3)
    honest = await LOG.after(latest, 5)
    for note, succession in (
        (FORGED.note(5), await FORGED.after(latest, 5)),
        (FORGED.note(5), honest),
        (FORGED.note(3), Succession(latest)),
        (LOG.note(2), Succession(latest)),
        (LOG.note(5), Succession(latest)),
        (LOG.note(5), Succession(latest, honest.proof[::-1])),
        (LOG.note(0), Succession(latest)),
    ):
        with pytest.raises(LogContradiction):
            await publisher.publish("acme", note, succession)
    assert await publisher.latest("acme") == latest
    assert list(await publisher.history("acme")) == [latest]
    await publisher.publish("acme", LOG.note(5), honest)


async def test_another_log_is_refused(publisher: CheckpointPublisher) -> None:
    latest = await published(publisher, 3)
    frontier = Frontier()
    for leaf in LOG.leaves:
        frontier.append(leaf)
    text = Checkpoint("webnova-y/acme", 5, frontier.root()).text()
    with pytest.raises(LogContradiction, match="webnova-y/acme"):
        await publisher.publish("acme", signed(text, [SIGNER]), await LOG.after(latest, 5))


async def test_whoever_did_not_see_the_latest_is_told(publisher: CheckpointPublisher) -> None:
    early = await published(publisher, 2)
    await publisher.publish("acme", LOG.note(4), await LOG.after(early, 4))
    for succession in (await LOG.after(early, 5), Succession(None)):
        with pytest.raises(VersionConflict):
            await publisher.publish("acme", LOG.note(5), succession)
    assert await publisher.latest("acme") == LOG.note(4)


async def test_of_many_who_publish_at_once_one_is_first(address: str) -> None:
    early = await published(open_publisher(address), 2)
    succession = await LOG.after(early, 5)

    async def publish(signer: Signer) -> str:
        await open_publisher(address).publish("acme", LOG.note(5, signer), succession)
        return "published"

    signers = [Signer(ORIGIN, bytes([n]) * 32) for n in range(8)]
    outcomes = await asyncio.gather(*map(publish, signers), return_exceptions=True)
    assert outcomes.count("published") == 1
    assert sum(isinstance(each, VersionConflict) for each in outcomes) == 7


async def test_the_signatures_of_the_latest_can_be_replaced(publisher: CheckpointPublisher) -> None:
    latest = await published(publisher, 2, 4)
    both = LOG.note(4, SIGNER, NEXT)
    await publisher.publish("acme", both, Succession(latest))
    assert await publisher.latest("acme") == both
    sizes = [Checkpoint.of(each).size for each in await publisher.history("acme")]
    assert sizes == [2, 4]


@pytest.mark.parametrize("note", ["", "no note", "a\n\n— x AAAAAAAA\n"])
async def test_what_is_no_checkpoint_is_refused(publisher: CheckpointPublisher, note: str) -> None:
    with pytest.raises(InvalidInput):
        await publisher.publish("acme", note, Succession(None))
    assert await publisher.latest("acme") is None


@pytest.mark.parametrize("tenant", ["", "..", "a/b", "../acme", "A"])
async def test_a_tenant_can_not_lead_elsewhere(publisher: CheckpointPublisher, tenant: str) -> None:
    with pytest.raises(InvalidInput):
        await publisher.publish(tenant, LOG.note(1), Succession(None))


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("nowhere", InvalidInput),
        ("file:", InvalidInput),
        ("x:y", NotFound),
        ("s3:bucket", InvalidInput),
        ("s3://b", InvalidInput),
        ("s3://bucket/../other", InvalidInput),
        ("s3://bucket/a//b", InvalidInput),
        ("s3://bucket/?region=eu", InvalidInput),
        ("s3://key:secret@bucket/a", InvalidInput),
    ],
)
def test_an_address_names_a_kind_and_a_location(address: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        open_publisher(address)


class TestFiles:
    """What only the kind `file` promises."""

    async def test_a_process_that_died_between_two_writes_left_no_gap(self, tmp_path: Path) -> None:
        publisher = open_publisher(f"file:{tmp_path}")
        latest = await published(publisher, 2, 4)
        lost = tmp_path / "acme" / "history" / f"{4:020d}"
        lost.unlink()
        await publisher.publish("acme", LOG.note(5), await LOG.after(latest, 5))
        assert lost.read_text(encoding="utf-8") == latest

    async def test_publishers_take_turns(self, tmp_path: Path) -> None:
        publisher = open_publisher(f"file:{tmp_path}")
        early = await published(publisher, 2)
        succession = await LOG.after(early, 5)
        with (tmp_path / "acme" / ".lock").open("ab") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            waiting = asyncio.create_task(publisher.publish("acme", LOG.note(5), succession))
            done, _ = await asyncio.wait({waiting}, timeout=0.3)
            assert not done
            (tmp_path / "acme" / "latest").write_text(LOG.note(4), encoding="utf-8")
        with pytest.raises(VersionConflict):
            await waiting

    async def test_a_history_that_says_otherwise_is_never_overwritten(self, tmp_path: Path) -> None:
        publisher = open_publisher(f"file:{tmp_path}")
        latest = await published(publisher, 2)
        foreign = tmp_path / "acme" / "history" / f"{5:020d}"
        foreign.write_text(FORGED.note(5), encoding="utf-8")
        with pytest.raises(LogContradiction, match="holds another"):
            await publisher.publish("acme", LOG.note(5), await LOG.after(latest, 5))
        assert foreign.read_text(encoding="utf-8") == FORGED.note(5)
        assert await publisher.latest("acme") == latest
        left = await asyncio.to_thread(lambda: list(tmp_path.rglob(".new-*")))
        assert not left


class TestObjects:
    """What only the kind `s3` promises."""

    @pytest.fixture
    def bucket(self, s3: S3Server) -> str:
        return s3.bucket()

    @pytest.fixture
    def address(self, bucket: str) -> str:
        return f"s3://{bucket}/audit"

    def names(self, s3: S3Server, bucket: str) -> list[str]:
        found = s3.client().list_objects_v2(Bucket=bucket).get("Contents", [])
        return [each["Key"] for each in found]

    async def test_each_note_is_an_object_and_the_latest_is_listed_first(
        self, s3: S3Server, bucket: str, address: str
    ) -> None:
        await published(open_publisher(address), 1, 3, 4)
        names = self.names(s3, bucket)
        assert names == [
            "audit/.conditional-writes",
            "audit/acme/99999999999999999996",
            "audit/acme/99999999999999999997",
            "audit/acme/99999999999999999998",
        ]
        first = s3.client().get_object(Bucket=bucket, Key=names[1])["Body"].read().decode()
        assert first == LOG.note(4)

    async def test_one_request_publishes_and_one_page_finds_the_latest(
        self, s3: S3Server, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("engine.ledger.transparency.publishing.objects.PAGE", 2)
        publisher = open_publisher(address)
        latest = await published(publisher, 0, 1, 2, 3, 4)
        assert [Checkpoint.of(each).size for each in await publisher.history("acme")] == [*range(5)]
        s3.calm()
        await publisher.publish("acme", LOG.note(5), await LOG.after(latest, 5))
        assert (s3.puts.total(), s3.lists) == (1, 1)

    async def test_of_writers_in_many_threads_one_wins_each_round(
        self, s3: S3Server, bucket: str, address: str
    ) -> None:
        """Each thread has its own loop and its own publisher, as processes have."""
        latest = await published(open_publisher(address), 0)
        for size in (1, 2, 3, 4, 5):
            succession = await LOG.after(latest, size)
            notes = [LOG.note(size, Signer(ORIGIN, bytes([n]) * 32)) for n in range(8)]

            def publish(note: str, succession: Succession = succession) -> str | None:
                try:
                    asyncio.run(open_publisher(address).publish("acme", note, succession))
                except VersionConflict:
                    return None
                return note

            won = await asyncio.gather(*(asyncio.to_thread(publish, note) for note in notes))
            winners = [each for each in won if each is not None]
            assert len(winners) == 1
            (latest,) = winners
            assert await open_publisher(address).latest("acme") == latest
        assert len(self.names(s3, bucket)) == 1 + 6

    async def test_a_lost_answer_is_no_lost_race(
        self, s3: S3Server, bucket: str, address: str
    ) -> None:
        """The store has taken the note and broken off; the request is repeated and refused."""
        publisher = open_publisher(address)
        latest = await published(publisher, 2)
        s3.lost = 1
        await publisher.publish("acme", LOG.note(5), await LOG.after(latest, 5))
        assert s3.puts["99999999999999999997"] == 2
        assert await publisher.latest("acme") == LOG.note(5)
        assert len(self.names(s3, bucket)) == 1 + 2

    async def test_a_process_that_died_before_the_answer_left_a_whole_note(
        self, s3: S3Server, address: str
    ) -> None:
        publisher = open_publisher(address)
        latest = await published(publisher, 2)
        succession = await LOG.after(latest, 5)
        # What refuses the repetition is taken out, so that no answer ever tells of the success.
        s3.ignores_conditions, s3.lost = True, 99
        with pytest.raises(Unavailable):
            await publisher.publish("acme", LOG.note(5), succession)
        s3.calm()
        again = open_publisher(address)
        assert await again.latest("acme") == LOG.note(5)
        await again.publish("acme", LOG.note(5), succession)
        assert list(await again.history("acme")) == [LOG.note(2), LOG.note(5)]

    async def test_a_store_that_ignores_conditions_is_found_out_before_anything_is_published(
        self, s3: S3Server, bucket: str, address: str
    ) -> None:
        s3.ignores_conditions = True
        with pytest.raises(Unavailable, match="overwrites"):
            await open_publisher(address).publish("acme", LOG.note(2), Succession(None))
        assert self.names(s3, bucket) == ["audit/.conditional-writes"]
        s3.ignores_conditions = False
        latest = await published(open_publisher(address), 2)
        s3.ignores_conditions = True
        with pytest.raises(Unavailable, match="overwrites"):
            await open_publisher(address).publish("acme", LOG.note(5), await LOG.after(latest, 5))
        assert await open_publisher(address).latest("acme") == latest

    async def test_a_missing_note_is_noticed(self, s3: S3Server, bucket: str, address: str) -> None:
        publisher = open_publisher(address)
        await published(publisher, 1, 2, 3)
        s3.client().delete_object(Bucket=bucket, Key="audit/acme/99999999999999999997")
        with pytest.raises(LogContradiction, match="missing"):
            await publisher.history("acme")

    async def test_what_is_no_note_is_named(self, s3: S3Server, bucket: str, address: str) -> None:
        s3.client().put_object(Bucket=bucket, Key=f"audit/acme/{'9' * 19}8", Body=b"\xff\xfe")
        s3.client().put_object(Bucket=bucket, Key="audit/acme/0 notes of ours", Body=b"x")
        with pytest.raises(LogContradiction, match="no signed note"):
            await open_publisher(address).latest("acme")

    async def test_a_store_that_is_gone_denies_or_lacks_the_bucket_is_unavailable(
        self, s3: S3Server, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(Unavailable, match="no such bucket"):
            await open_publisher("s3://there-is-none/x").latest("acme")
        with s3.knowing_its_users():
            for question in (
                open_publisher(address).latest("acme"),
                open_publisher(address).publish("acme", LOG.note(1), Succession(None)),
            ):
                with pytest.raises(Unavailable, match="credentials") as denied:
                    await question
                told = "".join(traceback.format_exception(denied.value))
                assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in told
                assert CREDENTIALS["AWS_ACCESS_KEY_ID"] not in told
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(Unavailable, match="out of reach"):
            await open_publisher(address).latest("acme")

    @pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
    def test_without_credentials_nothing_is_asked(
        self, address: str, missing: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(missing)
        with pytest.raises(Unavailable, match="no credentials"):
            open_publisher(address)

    def test_plain_http_must_be_wished_for(
        self, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ALLOW_HTTP")
        with pytest.raises(InvalidInput, match="https"):
            open_publisher(address)

    def test_an_address_with_a_secret_is_not_repeated(self) -> None:
        with pytest.raises(InvalidInput) as refused:
            open_publisher("s3://AKIA:hunter2@bucket/a")
        assert "hunter2" not in str(refused.value)
