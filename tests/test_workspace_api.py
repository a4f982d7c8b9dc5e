"""The Web API of the local workspace keeps Slack's rules and refuses by Slack's names."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import RemoteDisconnected
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import ConnectionErrorRetryHandler
from workspace_app import FORM, INC, Recorder, actions, bot_in, button, modal, refused, section

from demo.workspace import ALL, Channel, Workspace, sample_channels


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    before = threading.active_count()
    with Workspace() as running:
        yield running
    assert threading.active_count() <= before


@pytest.fixture
def client(workspace: Workspace) -> WebClient:
    return WebClient(workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])


@pytest.fixture
def bot(workspace: Workspace) -> Iterator[Recorder]:
    with bot_in(workspace) as recorder:
        yield recorder


def test_wrong_tokens_and_missing_scopes_are_refused_by_name(workspace: Workspace) -> None:
    url = workspace.api_url
    assert refused(WebClient(base_url=url).auth_test) == "not_authed"
    assert refused(WebClient("xoxb-1", base_url=url).auth_test) == "invalid_auth"
    assert refused(WebClient(workspace.app_token, base_url=url).auth_test) == "not_allowed_token_type"
    assert refused(WebClient(workspace.bot_token, base_url=url).team_info) == "missing_scope"
    assert refused(WebClient(workspace.bot_token, base_url=url).api_call, api_method="x.y") == "unknown_method"


def test_messages_are_refused_by_the_name_of_the_rule(workspace: Workspace, client: WebClient) -> None:
    post, twice = client.chat_postMessage, [section("a", block_id="b"), section("c", block_id="b")]
    assert refused(post, channel="C0NONE", text="x") == "channel_not_found"
    assert refused(client.api_call, api_method="chat.postMessage", json={"channel": INC}) == "no_text"
    assert refused(post, channel=INC, text="x" * 40_001) == "msg_too_long"
    assert refused(post, channel=INC, text="x", blocks=twice) == "invalid_blocks"
    assert refused(post, channel=INC, text="x", thread_ts="1.2") == "cannot_reply_to_message"
    assert refused(post, channel=INC, text="x", metadata={"event_type": 1}) == "invalid_metadata_format"
    ts = post(channel=INC, text="x", blocks=[section("y")])["ts"]
    assert refused(client.chat_update, channel=INC, ts=ts, text="x" * 4_001) == "msg_too_long"
    said = workspace.say("U0ANA", INC, "mine")
    assert refused(client.chat_update, channel=INC, ts=said.ts, text="x") == "cant_update_message"
    workspace.state.channels[INC].is_archived = True
    assert refused(post, channel=INC, text="x") == "is_archived"
    workspace.state.channels["C0RANDOM"].members = {"U0ANA"}
    assert refused(post, channel="#random", text="x") == "not_in_channel"


def test_an_update_with_text_alone_removes_the_blocks(workspace: Workspace, client: WebClient) -> None:
    ts = client.chat_postMessage(channel=INC, text="x", blocks=[section("y")])["ts"]

    client.chat_update(channel=INC, ts=ts, text="z")

    (message,) = workspace.messages(INC)
    assert (message.text, message.blocks, bool(message.edited)) == ("z", [], True)


def test_a_trigger_opens_one_view_within_three_seconds(workspace: Workspace, client: WebClient) -> None:
    trigger = workspace.state.new_trigger("U0ANA")
    assert refused(client.views_open, trigger_id=trigger, view={"type": "modal"}) == "invalid_arguments"
    view = client.views_open(trigger_id=trigger, view=FORM)["view"]
    assert refused(client.views_open, trigger_id=trigger, view=FORM) == "exchanged_trigger_id"
    assert refused(client.views_open, trigger_id="1.2.3", view=FORM) == "invalid_trigger_id"
    old = workspace.state.new_trigger("U0ANA")
    workspace.state.triggers[old].made -= 3.1
    assert refused(client.views_open, trigger_id=old, view=FORM) == "expired_trigger_id"
    client.views_update(view_id=view["id"], hash=view["hash"], view=FORM)
    assert refused(client.views_update, view_id=view["id"], hash=view["hash"], view=FORM) == "hash_conflict"
    assert refused(client.views_update, view_id="V1", view=FORM) == "not_found"


def test_views_stack_three_deep_and_not_deeper(workspace: Workspace, bot: Recorder, client: WebClient) -> None:
    first = modal(section("first"), {**actions("open"), "block_id": "a"})
    client.views_open(trigger_id=workspace.state.new_trigger("U0ANA"), view=first)

    workspace.click_view("U0ANA", "open")
    workspace.wait_for(lambda: len(workspace.state.modals["U0ANA"]) == 2)

    top = workspace.state.modals["U0ANA"][-1]
    assert top.previous == top.root == workspace.state.modals["U0ANA"][0].id
    client.views_push(trigger_id=workspace.state.new_trigger("U0ANA", top.id), view=first)
    fourth = workspace.state.new_trigger("U0ANA", top.id)
    assert refused(client.views_push, trigger_id=fourth, view=first) == "push_limit_reached"


def test_a_response_url_is_good_for_five_answers(workspace: Workspace, client: WebClient) -> None:
    ts = client.chat_postMessage(channel=INC, text="x", blocks=[actions("go")])["ts"]
    message = workspace.state.find(INC, ts)
    url = workspace.state.new_response_url(INC, "U0BOB", message)

    def answer(**body: Any) -> int:
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
        try:
            with urllib.request.urlopen(request) as got:  # noqa: S310
                return int(got.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    assert answer(text="only you") == 200
    assert answer(text="instead", replace_original=True) == 200
    assert answer(text="all", response_type="in_channel") == 200
    assert answer(text="x", blocks=[{"type": "section"}]) == 400
    assert answer(delete_original=True) == 200
    assert answer(text="one too many") == 404
    assert [(each.text, each.ephemeral_for) for each in workspace.messages(INC, viewer=ALL)] == [
        ("only you", "U0BOB"),
        ("all", None),
    ]


def test_one_message_a_second_per_channel_when_that_is_asked_for() -> None:
    with Workspace(one_message_per_second=True) as workspace:
        client = WebClient(workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])
        client.chat_postMessage(channel=INC, text="1")
        client.chat_postMessage(channel="C0RANDOM", text="1")
        with pytest.raises(SlackApiError) as caught:
            client.chat_postMessage(channel=INC, text="2")
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "1"


def test_an_answer_can_be_lost_after_the_work_was_done(workspace: Workspace, client: WebClient) -> None:
    workspace.faults.lose_answer = 1
    with pytest.raises(RemoteDisconnected):
        client.chat_postMessage(channel=INC, text="once")
    workspace.faults.lose_answer = 1
    client.retry_handlers.append(ConnectionErrorRetryHandler())
    client.chat_postMessage(channel=INC, text="twice")

    assert [message.text for message in workspace.messages(INC)] == ["once", "twice", "twice"]


def test_slack_can_be_down_limited_slow_or_answer_with_any_error(workspace: Workspace, client: WebClient) -> None:
    workspace.faults.down = True
    with pytest.raises(SlackApiError) as caught:
        client.auth_test()
    assert caught.value.response.status_code == 503
    workspace.faults.down = False
    workspace.faults.ratelimit, workspace.faults.only = 1, {"chat.update"}
    client.auth_test()
    assert refused(client.chat_update, channel=INC, ts="1.2", text="x") == "ratelimited"
    workspace.faults.errors["chat.update"] = "edit_window_closed"
    assert refused(client.chat_update, channel=INC, ts="1.2", text="x") == "edit_window_closed"
    workspace.faults.slow, workspace.faults.only = 0.2, set()
    started = time.monotonic()
    client.auth_test()
    assert time.monotonic() - started >= 0.2


def test_people_channels_and_groups_can_be_asked_for(workspace: Workspace, client: WebClient) -> None:
    assert client.users_info(user="U0GUEST")["user"]["is_restricted"] is True
    assert client.usergroups_users_list(usergroup="S0DBONCALL")["users"] == ["U0BOB", "U0CHEN"]
    assert client.usergroups_list()["usergroups"][0]["handle"] == "db-oncall"
    assert client.conversations_info(channel="C0SHARED")["channel"]["is_ext_shared"] is True
    assert client.conversations_open(users="U0BOB")["channel"]["id"] == "D0BOB"
    names = [each["name"] for page in client.conversations_list(limit=3) for each in page["channels"]]
    assert names == ["incidents", "inc-418", "random", "shared-with-acme"]
    assert "U0ANA" in client.conversations_members(channel=INC)["members"]
    assert refused(client.users_info, user="U0NONE") == "user_not_found"
    assert refused(client.usergroups_users_list, usergroup="S0") == "no_such_subteam"
    ts = client.chat_postMessage(channel=INC, text="x")["ts"]
    assert client.chat_getPermalink(channel=INC, message_ts=ts)["permalink"].endswith(f"/p{ts.replace('.', '')}")


def test_the_transcript_reads_as_people_read_the_channel(workspace: Workspace, client: WebClient) -> None:
    blocks = [
        section("<@U0ANA> asks <!subteam^S0DBONCALL>, until <!date^1794321072^{time}|14:31 UTC> in <#C0RANDOM>"),
        {"type": "actions", "elements": [button("go", "Approve"), button("no", "Deny…")]},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "a &lt; b"}, {"type": "mrkdwn", "text": "c"}]},
    ]
    card = client.chat_postMessage(channel=INC, text="Please decide", blocks=blocks)["ts"]
    client.chat_postMessage(channel=INC, text="step done", thread_ts=card, reply_broadcast=True)

    assert workspace.transcript(INC) == (
        "#inc-418\n\n"
        "rollback:\n"
        "  @Ana Diaz asks @db-oncall, until 14:31 UTC in #random\n"
        "  [Approve] [Deny…]\n"
        "  a < b  ·  c\n"
        "    rollback (also shown in the channel):\n"
        "      step done\n"
    )
    assert [message.text for message in workspace.messages(INC)] == ["Please decide", "step done"]


def test_a_workspace_of_ones_own_people_and_channels() -> None:
    private = Channel("C0SECRET", "secret", is_private=True, members={"U0ANA"})
    with Workspace(channels=[*sample_channels(), private], scopes=["chat:write"]) as workspace:
        client = WebClient(workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])
        assert refused(client.chat_postMessage, channel="C0SECRET", text="x") == "channel_not_found"
        assert refused(client.users_list) == "missing_scope"


def test_a_channel_is_read_back_in_pages_newest_first_and_a_thread_oldest_first(
    workspace: Workspace, client: WebClient
) -> None:
    tag = {"event_type": "t", "event_payload": {"n": 1}}
    card = client.chat_postMessage(channel=INC, text="card", metadata=tag)["ts"]
    for number in range(3):
        client.chat_postMessage(channel=INC, text=f"reply {number}", thread_ts=card, reply_broadcast=number == 2)
    workspace.say("U0ANA", INC, "by the way")
    client.chat_postEphemeral(channel=INC, user="U0ANA", text="only you")

    def texts(pages: Any) -> list[str]:
        return [each["text"] for page in pages for each in page["messages"]]

    history, replies = client.conversations_history, client.conversations_replies
    assert texts(history(channel=INC, limit=2)) == ["by the way", "reply 2", "card"]
    assert texts(replies(channel=INC, ts=card, limit=3)) == ["card", "reply 0", "reply 1", "reply 2"]
    assert texts([history(channel=INC, latest=card, inclusive=True)]) == ["card"]
    first = history(channel=INC, limit=1)
    assert first["has_more"] and first["response_metadata"]["next_cursor"]
    shown = history(channel=INC)["messages"]
    assert shown[1]["subtype"] == "thread_broadcast" and shown[2]["reply_users"] == [workspace.bot_user]
    assert "metadata" not in shown[2]
    assert history(channel=INC, include_all_metadata=True)["messages"][2]["metadata"] == tag


def test_a_channel_that_may_not_be_read_is_refused_by_name(workspace: Workspace, client: WebClient) -> None:
    history, replies = client.conversations_history, client.conversations_replies
    assert refused(history, channel="C0NONE") == "channel_not_found"
    assert refused(replies, channel=INC, ts="1.2") == "thread_not_found"
    assert refused(history, channel=INC, cursor="no cursor") == "invalid_cursor"
    assert refused(history, channel=INC, limit="many") == "invalid_limit"
    assert refused(history, channel=workspace.state.direct("U0ANA").id) == "missing_scope"
    workspace.state.channels[INC].members = {"U0ANA"}
    assert refused(history, channel=INC) == "not_in_channel"
    workspace.state.channels[INC].is_private = True
    assert refused(history, channel=INC) == "channel_not_found"
    workspace.state.scopes.clear()
    assert refused(replies, channel="C0RANDOM", ts="1.2") == "missing_scope"
