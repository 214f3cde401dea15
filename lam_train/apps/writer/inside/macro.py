"""The door: one script that the bridge calls, inside LibreOffice's own process and under its Python.

Accessibility works on the main thread only: from another thread the first modal dialog ends the process.
So every request is posted there as a user event, and the caller waits; not for a request that opens a
dialog or a menu, since such a one returns when the dialog is closed.
"""

import functools
import json
import os
import threading
import time
import traceback

import unohelper
from com.sun.star.awt import XCallback
from desk import Desk  # the modules beside this one, in pythonpath/

desk = None
TICK_S = 0.002  # idle work chains by timers of a millisecond
TICK_ON_SCREEN_S = 0.03  # what is painted there waits for the screen's own messages
MOST_LOOKS = 30
QUESTION_S = 0.2


class Event(unohelper.Base, XCallback):
    """A user event that calls a function on the main thread."""

    def __init__(self, function):
        self.function = function

    def notify(self, data):
        self.function()


class MainThread:
    def __init__(self, context):
        self.queue = context.ServiceManager.createInstanceWithContext("com.sun.star.awt.AsyncCallback", context)
        self.tick = TICK_ON_SCREEN_S if os.environ.get("DISPLAY") else TICK_S

    def post(self, function):
        self.queue.addCallback(Event(function), None)

    def call(self, function, whole):
        """(value, error) of a function called there; (None, None) when it entered a modal loop and is still in it.

        Events are handled in order, one at a time: when a second event is handled before the first
        has returned, the first runs an event loop of its own. `whole` waits for the end all the same:
        opening a document lets events pass, too; where it then stops at a question, the answer is no.
        """
        answer, done, second = [None, None], threading.Event(), threading.Event()

        def run():
            try:
                answer[0] = function()
            except BaseException:
                answer[1] = traceback.format_exc()
            done.set()

        self.post(run)
        self.post(second.set)
        second.wait()
        while whole and not done.wait(QUESTION_S):
            self.call(desk.say_no, False)
        return tuple(answer) if done.is_set() else (None, None)

    def settle(self, rounds, idle):
        """Lets what is queued be handled: a command often queues another, which opens the dialog; then what waits
        for an idle moment, such as the dialog's layout."""
        for _ in range(rounds):
            self.call(idle, False)
            time.sleep(self.tick)


def call(requests):
    """Carries out requests in order: JSON list of `{"do": method of Desk, "with": arguments, …}`.

    The answer is a JSON list of `{"value": …, "error": traceback or null}`; it ends with the first error.
    """
    global desk
    context = XSCRIPTCONTEXT.getComponentContext()  # noqa: F821  LibreOffice puts it there
    if desk is None:
        desk = Desk(context)
    main, answers = MainThread(context), []
    for request in json.loads(requests):
        function = functools.partial(getattr(desk, request["do"]), **request["with"])
        value, error = main.call(function, request["whole"])
        main.settle(request["settle"], desk.toolkit.processEventsToIdle)
        if request["until_still"] and not error:
            value, error = until_still(main, function, value)
        answers.append({"value": value, "error": error})
        if error:
            break
    return json.dumps(answers)


def until_still(main, look, value):
    """The value of a look once it no longer changes: a new window or dialog is laid out and painted after it opened.

    A look says in "still" how often it must come out the same; 0 takes it as it is.
    """
    error, same = None, 0
    for _ in range(MOST_LOOKS):
        if error or same >= value["still"]:
            break
        main.settle(1, desk.toolkit.processEventsToIdle)
        before, (value, error) = value, main.call(look, True)
        same = same + 1 if value == before else 0
    return value, error


g_exportedScripts = (call,)
