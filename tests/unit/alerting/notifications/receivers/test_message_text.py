"""What people read: titles, lines, Slack's message, a mail."""

from datetime import timedelta
from typing import Any

import pytest

from alerting.notifications.receivers.email import mail
from alerting.notifications.receivers.message_text import (
    MAX_TITLE_CHARS,
    accounts_text,
    copies,
    lines,
    member_text,
    title,
)
from alerting.notifications.receivers.pagerduty import event
from alerting.notifications.receivers.slack import MAX_SECTION_CHARS, message
from brandpulse.schema.episodes import ExamplePost, Member, Notification, SourceCount, Term, Transition
from tests.support.alerting.episode_builders import AT, a_notification, an_evidence

FORGED = "Acme\r\nBcc: all@example.org"


def with_posts(*texts: str, **changes: Any) -> Notification:
    posts = [ExamplePost(id=str(n), source="test", text=text, created_at=AT) for n, text in enumerate(texts)]
    return a_notification(latest=an_evidence(examples=posts), **changes)


@pytest.mark.parametrize(
    ("transition", "expected"),
    [
        ("triggered", "[critical] Acme Air fires: negative share"),
        ("updated", "[critical] Acme Air still fires: negative share"),
        ("acknowledged", "[critical] Acme Air acknowledged: negative share"),
        ("resolved", "[resolved] Acme Air is over: negative share"),
    ],
)
def test_a_title_contains_severity_brand_state_and_rule(transition: Transition, expected: str) -> None:
    assert title(a_notification(transition)) == expected


def test_a_title_is_one_short_line_for_any_brand_name() -> None:
    said = title(a_notification(brand=FORGED + "x" * 300))
    assert "\n" not in said
    assert len(said) <= MAX_TITLE_CHARS


def test_the_lines_contain_reason_numbers_posts_and_link() -> None:
    said = lines(with_posts("awful\nreally").model_copy(update={"link": "http://page"}))
    assert said[0] == "Negative share rose: 30 of 50 authors."
    assert "30 of 50 people negative (60%), usually 20%" in said[1]
    assert "> awful really" in said
    assert said[-1] == "http://page"


def test_words_and_sources_are_shown_until_the_episode_is_over() -> None:
    terms = [
        Term(term="lost luggage", posts=8, of=20, usual_share=0.004),
        Term(term="fee", posts=3, of=20, usual_share=0.2),
    ]
    proof = an_evidence(
        terms=terms, sources=[SourceCount(source="<!here>", posts=14), SourceCount(source="x", posts=6)]
    )
    said = lines(a_notification(latest=proof))
    assert (
        "Words that stand out: lost luggage (8 of 20 posts, usually under 1%), fee (3 of 20 posts, usually 20%)."
        in said
    )
    assert "From (negative posts kept, not all): <!here> 14, x 6." in said
    assert "<" not in message(a_notification(latest=proof))["attachments"][0]["blocks"][0]["text"]["text"]
    assert not [
        line for line in lines(a_notification("resolved", latest=proof)) if "luggage" in line or "<!here>" in line
    ]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({}, ""),
        ({"one_text_accounts": 2, "copied_authors": 0, "excluded_authors": 0, "shown_accounts": 9}, ""),
        ({"new_accounts": 0, "shown_accounts": 9}, "Accounts: none of 9 are new."),
        ({"excluded_authors": 1}, "Accounts: no vote for 1 that behaves like a bot."),
        (
            {
                "one_text_accounts": 21,
                "new_accounts": 19,
                "shown_accounts": 46,
                "copied_authors": 16,
                "excluded_authors": 2,
            },
            "Accounts: 21 posted one text; 19 of 46 are new; no vote for 16 with copies and 2 that behave like bots.",
        ),
    ],
)
def test_an_alert_says_which_accounts_have_no_vote(seen: dict[str, Any], expected: str) -> None:
    latest = an_evidence(**seen)
    assert accounts_text(latest) == expected
    shown = a_notification(latest=latest)
    assert (expected in lines(shown)) is bool(expected)


def test_missing_words_have_a_reason() -> None:
    said = lines(a_notification(latest=an_evidence(terms_missing="only 3 usual posts are kept")))
    assert "Words that stand out: none (only 3 usual posts are kept)." in said


def test_a_group_names_its_worst_members_and_counts_the_rest() -> None:
    member = Member(
        key="k", brand="B", rule="r", severity="error", state="firing", negative_share=0.5, baseline_share=0.2
    )
    group = a_notification(brand="*", rule="storm", members=[member] * 30, members_total=30)
    assert title(group) == "[critical] 30 episodes at once fire: storm"
    assert "- and 10 more" in lines(group)


def test_a_group_shows_shared_words_before_its_members() -> None:
    member = Member(
        key="k",
        brand="Acme Air",
        rule="negative_share",
        severity="error",
        state="firing",
        negative_share=0.5,
        baseline_share=0.2,
        extra_people=120,
    )
    terms = [Term(term="outage", posts=80, of=140, usual_share=0.004, brands=7)]
    proof = an_evidence(terms=terms, terms_missing="3 of 10 brands have none, most often because x")
    group = a_notification(brand="*", rule="storm", members=[member], members_total=10, latest=proof)
    said = lines(group)
    words = (
        "Words that stand out: outage (7 brands, 80 of 140 posts, usually under 1%) "
        "(3 of 10 brands have none, most often because x)."
    )
    named = "- Acme Air (negative share): error, firing, 50%, usually 20%, 120 people more than usual"
    assert said.index(words) < said.index(named)
    details = event(group, routing_key="0" * 32)["payload"]["custom_details"]
    assert details["members"] == [named.removeprefix("- ")]
    assert details["terms_missing"] == proof.terms_missing


def test_slack_markup_in_a_post_notifies_no_one() -> None:
    made = message(with_posts("<!channel> & <https://evil.example|bank>", brand="<!here>"))
    text = made["attachments"][0]["blocks"][0]["text"]["text"]
    assert "<" not in text
    assert "> &lt;!channel&gt; &amp; " in text
    assert "&lt;!here&gt;" in made["text"]


def test_slacks_section_is_within_its_limit() -> None:
    made = message(with_posts(*["<" * 500] * 3, brand="x"))
    assert len(made["attachments"][0]["blocks"][0]["text"]["text"]) <= MAX_SECTION_CHARS


def test_a_brand_name_cannot_add_mail_headers() -> None:
    made = mail(a_notification(brand=FORGED), sender="a@b.example", to=("c@d.example",))
    assert made["Bcc"] is None
    assert made["To"] == "c@d.example"
    assert "Bcc: all@example.org" in made["Subject"]


def test_mails_of_an_episode_are_one_thread_with_fixed_ids() -> None:
    def made(transition: Transition) -> tuple[str, str]:
        built = mail(a_notification(transition), sender="a@b.example", to=("c@d.example",))
        return built["Message-ID"], built["References"]

    assert made("triggered") == made("triggered")
    assert made("triggered")[0] != made("resolved")[0]
    assert made("triggered")[1] == made("resolved")[1]


def test_a_mail_is_dated_in_event_time() -> None:
    built = mail(a_notification(updated_at=AT + timedelta(minutes=1)), sender="a@b.example", to=("c@d.example",))
    assert built["Date"].datetime == AT + timedelta(minutes=1)


def test_a_page_about_a_facet_mentions_no_negative_people() -> None:
    proof = an_evidence(
        facet="refund", negative_share=0.084, sources=[SourceCount(source="forum", posts=3)], terms_missing="no word"
    )
    said = "\n".join(lines(a_notification(latest=proof, rule="refunds")))
    assert "30 of 50 people in refund (8.4%), usually 20%" in said
    assert "From (posts in refund kept, not all): forum 3." in said
    assert "negative posts" not in said
    assert "people negative" not in said


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({}, ""),
        ({"copies": 1, "accounts": 1, "new_accounts": 1}, ""),
        ({"copies": 21, "accounts": 21, "new_accounts": 19}, "posted 21 times by 21 accounts, 19 of them new"),
        ({"copies": 21, "accounts": 21, "new_accounts": 21}, "posted 21 times by 21 accounts, all of them new"),
        ({"copies": 21, "accounts": 20, "new_accounts": 0}, "posted 21 times by 20 accounts, none of them new"),
        ({"copies": 21, "accounts": 20}, "posted 21 times by 20 accounts"),
        ({"copies": 20, "accounts": 1, "new_accounts": 1}, "posted 20 times by 1 account, a new one"),
        ({"copies": 20, "accounts": 1, "new_accounts": 0}, "posted 20 times by 1 account"),
        ({"copies": 9, "accounts": 9, "at_least": True}, "posted at least 9 times by 9 accounts"),
    ],
)
def test_an_example_shows_its_number_of_copies(numbers: dict[str, Any], expected: str) -> None:
    post = ExamplePost(id="1", source="x", text="Boycott\nAcme", created_at=AT, **numbers)
    assert copies(post) == expected
    told = f"Boycott Acme ({expected})" if expected else "Boycott Acme"
    note = a_notification(latest=an_evidence(examples=[post]))
    assert f"> {told}" in lines(note)
    assert event(note, routing_key="k")["payload"]["custom_details"]["examples"] == [told]


def test_a_volume_alert_compares_people_and_no_share() -> None:
    proof = an_evidence(
        authors=60,
        negative_authors=46,
        negative_share=46 / 60,
        baseline_share=46 / 60,
        usual_authors=12.4,
        posts=64,
        kept_posts=64,
        sources=[SourceCount(source="rss", posts=64)],
        reason="Volume rose: 60 people wrote about it where 12.4 are usual, 4.8 times as many.",
    )
    said = lines(a_notification(rule="volume", latest=proof))
    assert said[1].startswith("60 people wrote, usually 12; 46 of them negative (77%); 2026-03-02")
    assert "From (all posts): rss 64." in said
    assert not any("usually 77" in line for line in said)
    details = event(a_notification(rule="volume", latest=proof), routing_key="k")["payload"]["custom_details"]
    assert (details["usual_authors"], details["sources_of_kept_posts"]) == (12.4, {"rss": 64})
    assert "baseline_share" not in details


@pytest.mark.parametrize(
    ("kept", "facet", "expected"),
    [
        (None, None, "From (negative posts kept, not all): x 9."),
        (9, None, "From (9 of 30 negative posts, a sample): x 9."),
        (30, None, "From (all negative posts): x 9."),
        (31, "refund", "From (all posts in refund): x 9."),
    ],
)
def test_sources_name_the_posts_they_are_counted_from(kept: int | None, facet: str | None, expected: str) -> None:
    proof = an_evidence(sources=[SourceCount(source="x", posts=9)], kept_posts=kept, facet=facet)
    assert expected in lines(a_notification(latest=proof))


def test_a_volume_member_of_a_group_shows_people() -> None:
    member = Member(
        key="k",
        brand="Acme",
        rule="volume",
        severity="error",
        state="firing",
        negative_share=0.76,
        baseline_share=0.76,
        people=60,
        usual_people=12.4,
        extra_people=48,
    )
    assert member_text(member) == "Acme (volume): error, firing, 60 people, usually 12"
