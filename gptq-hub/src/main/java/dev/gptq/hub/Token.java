package dev.gptq.hub;

import dev.gptq.hub.HubException.Reason;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * What proves to the hub who asks. It is sent to the hub itself only, and never printed.
 *
 * @param value the secret
 * @param origin where it was found, for messages
 */
record Token(String value, String origin) {
  private static final Pattern VISIBLE = Pattern.compile("[\\x21-\\x7e]+");

  /** The token of HF_TOKEN, else of the file, if there is one. */
  static Optional<Token> find(Environment environment, Path file) throws IOException {
    for (String name : new String[] {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
      Optional<String> value = environment.get(name);
      if (value.isPresent()) {
        return Optional.of(of(value.get(), name));
      }
    }
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    String value = Files.readString(file).strip();
    return value.isEmpty() ? Optional.empty() : Optional.of(of(value, file.toString()));
  }

  private static Token of(String text, String origin) throws HubException {
    String value = text.strip();
    if (!VISIBLE.matcher(value).matches()) {
      throw new HubException(
          Reason.INVALID,
          origin + " holds characters that no token has; copy the token there again");
    }
    return new Token(value, origin);
  }

  /** Without the secret. */
  @Override
  public String toString() {
    return "token of " + origin;
  }
}
