"""The service: OpenAI's transcription API, Vosk-server's WebSocket protocol and a web page.

Needs the extra ``malsori[server]``. `app.create_app` makes the application of a model and a
`config.ServerConfig`; `run.serve` listens.
"""
