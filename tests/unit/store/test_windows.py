"""Windows over a cohort."""

from hypothesis import given
from hypothesis import strategies as st

from caravan.store.windows import Window, gaps


@given(st.integers(1, 300), st.integers(1, 50), st.lists(st.integers(1, 40), max_size=8), st.data())
def test_windows_and_gaps_cover_everyone_exactly_once(
    total: int, size: int, lengths: list[int], data: st.DataObject
) -> None:
    windows, edge = [], 0
    for length in lengths:
        start = edge + data.draw(st.integers(0, 20))
        if start + length > total:
            break
        windows.append(Window(start, length, "us", None))
        edge = start + length
    covered = [place for window in windows for place in range(window.first, window.first + window.size)]
    found = list(gaps(windows, total, size))
    covered += [place for first, length in found for place in range(first, first + length)]
    assert sorted(covered) == list(range(total))
    assert all(0 < length <= size for _, length in found)
