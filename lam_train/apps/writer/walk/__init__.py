"""The application as a source of task-plans: Writer's menus, dialogs and commands, walked and executed."""
