package dev.gptq.models.tokenizer;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A process that encodes a file and says how many tokens that are, or why it could not. */
final class EncodeFile {
  private EncodeFile() {}

  /** The folder of a tokenizer, a file, how many times it is repeated, and where to say it. */
  public static void main(String[] arguments) throws IOException {
    String text = Files.readString(Path.of(arguments[1])).repeat(Integer.parseInt(arguments[2]));
    Path answer = Path.of(arguments[3]);
    try (Tokenizer tokenizer = Tokenizer.open(Path.of(arguments[0]))) {
      Files.writeString(answer, Integer.toString(tokenizer.encode(text).length));
    } catch (IOException | OutOfMemoryError e) {
      Files.writeString(answer, e.toString());
    }
  }
}
