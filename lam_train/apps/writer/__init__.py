"""LibreOffice Writer as an application: the environment, its documents and tasks, its expert."""
