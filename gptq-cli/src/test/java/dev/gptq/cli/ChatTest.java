package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Conversations and BOS tokens on the command line. */
final class ChatTest {
  @TempDir private Path model;

  @BeforeEach
  void copyModel() throws IOException {
    try (DirectoryStream<Path> files = Files.newDirectoryStream(Cli.TINY)) {
      for (Path file : files) {
        Files.copy(file, model.resolve(file.getFileName()));
      }
    }
    Files.writeString(model.resolve("tokenizer_config.json"), "{\"bos_token\": \"<|endoftext|>\"}");
  }

  @Test
  void aModelWithATemplateAnswers() throws IOException {
    assertThat(generate("--chat").status()).isEqualTo(2);
    assertThat(generate("--chat").err()).contains("no chat template", "leave out --chat");
    Files.writeString(
        model.resolve("chat_template.jinja"),
        "{% for m in messages %}{{ m.role | upper }}: {{ m.content }}{% endfor %}"
            + "{% if add_generation_prompt %} ANSWER:{% endif %}");
    Cli.Outcome plain = generate("--json");
    Cli.Outcome chat = generate("--chat", "--json");
    assertThat(chat.status()).as(chat.err()).isZero();
    assertThat(prompt(chat)).isGreaterThan(prompt(plain));
    assertThat(prompt(generate("--bos", "on", "--json"))).isEqualTo(prompt(plain) + 1);
    assertThat(generate("--chat").out()).doesNotContain("A ship of 1897");
  }

  @Test
  void whatWindowsBeginWithIsSaid() {
    Cli.Outcome planned =
        Cli.run(
            "quantize",
            "--model",
            model,
            "--output",
            model.resolveSibling(model.getFileName() + "-out"),
            "--calibration",
            Cli.CALIBRATION,
            "--samples",
            "2",
            "--seq-len",
            "32",
            "--bos",
            "on",
            "--dry-run");
    assertThat(planned.status()).as(planned.err()).isZero();
    assertThat(planned.out() + planned.err()).contains("each window begins with '<|endoftext|>'");
  }

  private Cli.Outcome generate(Object... more) {
    return Cli.run(
        Stream.concat(
                Stream.of("generate", "--model", model, "--prompt", "A ship of 1897"),
                Stream.concat(Stream.of("--max-tokens", "2"), Stream.of(more)))
            .toArray());
  }

  private static int prompt(Cli.Outcome outcome) {
    return outcome.json().required("prompt_tokens").asInt();
  }
}
