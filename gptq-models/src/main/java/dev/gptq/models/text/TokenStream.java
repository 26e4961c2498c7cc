package dev.gptq.models.text;

import com.google.common.primitives.Ints;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** The documents of text files as one stream of tokens. */
public final class TokenStream {
  private TokenStream() {}

  /** The stream; {@code notes} hears what of the files was left out. */
  public static int[] of(Tokenizer tokenizer, List<Path> files, Consumer<String> notes)
      throws IOException {
    List<int[]> parts = new ArrayList<>();
    for (Path file : files) {
      for (String document : CalibrationText.read(file, notes)) {
        parts.add(tokenizer.encode(document));
      }
    }
    return Ints.concat(parts.toArray(int[][]::new));
  }
}
