package dev.gptq.models.text;

import com.google.common.primitives.Ints;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The documents of text files as one stream of tokens. */
public final class TokenStream {
  private TokenStream() {}

  public static int[] of(Tokenizer tokenizer, List<Path> files) throws IOException {
    List<int[]> parts = new ArrayList<>();
    for (Path file : files) {
      for (String document : CalibrationText.read(file)) {
        parts.add(tokenizer.encode(document));
      }
    }
    return Ints.concat(parts.toArray(int[][]::new));
  }
}
