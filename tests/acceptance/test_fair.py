"""A start beside a large batch that is being sent is served at once: asserted by the order of mails, never by time."""

from pathlib import Path

from tests.acceptance.conftest import BackgroundSandbox, caravan, until, up

LARGE, SMALL = 20_000, 50
JOURNEY = """
journey: 1
name: One mail
steps:
  - id: mail
    email: {from: shop@example.com, to: "{{ emailAddress }}", subject: Hello, text: Hello}
"""


def _file(folder: Path, name: str, size: int) -> Path:
    path = folder / f"{name}.ndjson"
    rows = (f'{{"id": "{i}", "properties": {{"emailAddress": "{name}-{i}@example.com"}}}}\n' for i in range(size))
    path.write_text("".join(rows))
    return path


def test_singles_and_small_files_are_mailed_while_a_large_batch_is_sent(
    tmp_path: Path, mails: BackgroundSandbox
) -> None:
    data = tmp_path / "data"
    with up(data, SMTP_URL=mails.url) as running, running.client() as client:
        other = int(caravan(data, "customers", "add", "other").stdout.split()[-1])
        token = caravan(data, "tokens", "create", "--customer", str(other)).stdout.strip()
        with running.client({"customer": str(other), "token": token}) as others:
            for each in (client, others):
                each.publish(1, JOURNEY)
            large = client.start_file(1, _file(tmp_path, "large", LARGE)).batch
            until(lambda: len(mails.recipients) > 100)
            client.commence(1, "s", {"emailAddress": "single-0@example.com"})
            others.commence(1, "o", {"emailAddress": "others-0@example.com"})
            small = others.start_file(1, _file(tmp_path, "small", SMALL)).batch
            came = len(mails.recipients)
            assert came < LARGE / 3, "the machine sent too fast for this test to say anything"
            until(lambda: client.batch(large).finished_at and others.batch(small).finished_at)
    order = [address.partition("-")[0] for address in mails.recipients]
    assert order.count("large") == LARGE
    assert order.count("small") == SMALL
    left = LARGE - came
    for name in ("single", "others", "small"):
        assert order.index(name) < came + left * 0.4, (name, came, order.index(name))
