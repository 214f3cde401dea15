"""The agent: observe, decide, act, remember, until the task is finished."""
