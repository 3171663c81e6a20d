"""What cloud-init makes of the user data on standard input: a JSON list of [type, text], in its order."""
import json
import sys
from cloudinit.helpers import Paths
from cloudinit.user_data import UserDataProcessor

# Where it would keep what it includes from elsewhere.
nowhere = Paths({'cloud_dir': '/nonexistent', 'run_dir': '/nonexistent'})
message = UserDataProcessor(nowhere).process(sys.stdin.buffer.read())
parts = [part for part in message.walk() if not part.is_multipart()]
json.dump([[part.get_content_type(), part.get_payload(decode=True).decode()] for part in parts], sys.stdout)
