package dev.gptq.cli.doctor;

import com.google.common.collect.ImmutableList;
import dev.gptq.cli.doctor.Finding.State;
import dev.gptq.cli.options.Home;
import dev.gptq.formats.BadInputException;
import dev.gptq.hub.HubSettings;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;

/** Libraries outside of Java, and settings of the hub. */
final class LibraryChecks {
  private LibraryChecks() {}

  static Finding tokenizer() {
    return tokenizer(Home.model());
  }

  static Finding tokenizer(Path model) {
    String subject = "tokenizer library";
    try (Tokenizer tokenizer = Tokenizer.open(model)) {
      return Finding.fine(
          subject, "makes %d tokens of two words".formatted(tokenizer.encode("two words").length));
    } catch (IOException | BadInputException | LinkageError e) {
      return new Finding(
          subject,
          State.FAILS,
          String.valueOf(e.getMessage()),
          "It is native code, unpacked into a private folder among the temporary files: these need"
              + " room, and must be allowed to run."
              + " Another place: GPTQ_JAVA_OPTS=-Djava.io.tmpdir=FOLDER");
    }
  }

  static ImmutableList<Finding> hub() {
    try {
      HubSettings settings = HubSettings.fromEnvironment();
      return ImmutableList.of(
          Finding.fine(
              "hub",
              settings.offline()
                  ? "offline, as HF_HUB_OFFLINE says"
                  : settings.endpoint()
                      + (settings.hasToken() ? ", with a token" : ", without a token")),
          MachineChecks.disk("disk of the hub's cache", settings.cache()));
    } catch (IOException e) {
      return ImmutableList.of(
          new Finding(
              "hub",
              State.POOR,
              String.valueOf(e.getMessage()),
              "Correct that variable or file, or unset it."));
    }
  }
}
