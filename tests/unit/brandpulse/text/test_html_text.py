import pytest

from brandpulse.text.html_text import html_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain words", "plain words"),
        ("AT&amp;T &lt;3", "AT&T <3"),
        ("<p>one</p><p>two<br>three</p>", "one\ntwo\nthree"),
        ("a <b>bold</b>  word", "a bold word"),
        ("x<script>alert(1)</script><style>p{}</style>y", "xy"),
        ('see <a href="https://a.example/long/path">a.example/lo…</a>!', "see https://a.example/long/path!"),
        ('<a href="javascript:x">cut…</a>', "cut…"),
        ('<a href="https://m.example/@acme">@<span>acme</span></a> hi', "@acme hi"),
        (
            '<a href="https://a.example/p"><span class="invisible">https://</span><span class="ellipsis">a.example/p'
            '</span><span class="invisible">ath</span></a>',
            "https://a.example/path",
        ),
        ('<img alt="a plane"> late', "a plane late"),
        ("<p>never closed <b>bold", "never closed bold"),
        ("1 < 2 and a<b", "1 < 2 and a<b"),
        ("<<<>>>", "<<<>>>"),
        ("", ""),
    ],
)
def test_html_becomes_the_text_that_people_read(html: str, text: str) -> None:
    assert html_text(html) == text
