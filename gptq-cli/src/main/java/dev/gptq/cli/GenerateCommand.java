package dev.gptq.cli;

import dev.gptq.backend.Backend;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.ExitStatus;
import dev.gptq.cli.console.JsonOutput;
import dev.gptq.cli.console.UsageException;
import dev.gptq.cli.options.BackendOption;
import dev.gptq.cli.options.BosOption;
import dev.gptq.cli.options.ModelOption;
import dev.gptq.cli.options.OutputOption;
import dev.gptq.models.Model;
import dev.gptq.models.chat.ChatTemplate;
import dev.gptq.models.evaluation.Generator;
import dev.gptq.models.evaluation.Sampler;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.tokenizer.StreamingDecoder;
import dev.gptq.models.tokenizer.Tokenizer;
import dev.gptq.tensor.DType;
import java.io.IOException;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;

/** Continues a text. */
@Command(
    name = "generate",
    description = "Continues a text with a model, full-precision or quantized.",
    mixinStandardHelpOptions = true,
    sortOptions = false)
final class GenerateCommand implements Callable<Integer> {
  @Mixin private ModelOption model;

  @Option(
      names = "--prompt",
      required = true,
      paramLabel = "TEXT",
      description = "the text to continue")
  private String prompt;

  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      description = "new tokens at most (default: ${DEFAULT-VALUE})")
  private int limit = 128;

  @Option(
      names = "--temperature",
      paramLabel = "X",
      description = "0 for the most likely token each time (default: ${DEFAULT-VALUE})")
  private double temperature = 0;

  @Option(
      names = "--top-p",
      paramLabel = "X",
      description =
          "draw from the most likely tokens that have this probability together (default:"
              + " ${DEFAULT-VALUE})")
  private double topP = 1;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "seed of the draws (default: ${DEFAULT-VALUE})")
  private long seed = 0;

  @Option(
      names = "--chat",
      description =
          "the prompt is the first turn of a conversation: write it as the model's chat template"
              + " does, and let the model answer")
  private boolean chat;

  @Option(
      names = "--head-bits",
      paramLabel = "N",
      description =
          "round the output head to 2 ... 8 bits in groups of 32 while it writes; with 8 the text"
              + " comes faster on a CPU, most of all from a small model with a large vocabulary"
              + " (default: as it is stored)")
  private Optional<Integer> headBits = Optional.empty();

  @Mixin private BosOption bos;

  @Mixin private BackendOption backendOption;
  @Mixin private OutputOption output;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    Console console = output.console(spec);
    if (limit < 1) {
      throw new UsageException("--max-tokens must be at least 1 but is " + limit);
    }
    if (headBits.filter(bits -> bits < 2 || bits > 8).isPresent()) {
      throw new UsageException("--head-bits must be 2 to 8 but is " + headBits.get());
    }
    Sampler sampler = sampler();
    try (Model opened = Model.open(model.folder(console));
        Tokenizer tokenizer = opened.tokenizer()) {
      int[] ids = bos.bos().prompt(chat ? turn(opened) : prompt, tokenizer);
      if (ids.length == 0) {
        throw new UsageException("--prompt has no tokens; give at least a word");
      }
      if (ids.length >= opened.spec().context()) {
        throw new UsageException(
            "--prompt has "
                + ids.length
                + " tokens and leaves no room for more in "
                + opened.contextInWords());
      }
      try (Backend backend = backendOption.openToGenerate(console);
          Decoder decoder = load(opened, backend)) {
        opened.warnings().forEach(console::warning);
        StreamingDecoder streaming = tokenizer.streaming();
        StringBuilder text = new StringBuilder();
        if (!output.json() && !chat) {
          console.resultPart(prompt);
        }
        Generator.Continuation continuation =
            new Generator(decoder)
                .generate(ids, limit, sampler, id -> show(streaming.add(id), text, console));
        show(streaming.finish(), text, console);
        report(ids.length, continuation, text.toString(), backend, console);
      }
    }
    return ExitStatus.DONE;
  }

  private Decoder load(Model opened, Backend backend) {
    if (headBits.isEmpty()) {
      return opened.loadToGenerate(backend);
    }
    if (backend.activationType() != DType.F32) {
      throw new UsageException(
          "--head-bits is for CPU backends; leave it out, a GPU reads the whole head fast enough");
    }
    Decoder decoder = opened.load(backend);
    decoder.roundHead(headBits.get());
    return decoder;
  }

  /** The prompt as the first turn of a conversation. */
  private String turn(Model opened) throws IOException {
    ArrayNode messages = JsonMapper.shared().createArrayNode();
    messages.addObject().put("role", "user").put("content", prompt);
    return ChatTemplate.find(opened.folder())
        .orElseThrow(() ->
            new UsageException(
                "%s has no chat template (chat_template.jinja or tokenizer_config.json); leave out"
                        .formatted(opened.path())
                    + " --chat"))
        .render(messages, true);
  }

  private Sampler sampler() {
    try {
      return new Sampler(temperature, topP, seed);
    } catch (IllegalArgumentException e) {
      throw new UsageException(e.getMessage());
    }
  }

  private void show(String piece, StringBuilder text, Console console) {
    text.append(piece);
    if (!output.json()) {
      console.resultPart(piece);
    }
  }

  private void report(
      int promptTokens,
      Generator.Continuation continuation,
      String text,
      Backend backend,
      Console console) {
    int generated = continuation.tokens().length();
    double prefill = promptTokens / continuation.prefillSeconds();
    double decode = generated > 1 ? (generated - 1) / continuation.decodeSeconds() : 0;
    if (output.json()) {
      console.result(
          JsonOutput.line(
              JsonOutput.command("generate", backend)
                  .put("text", text)
                  .put("prompt_tokens", promptTokens)
                  .put("generated_tokens", generated)
                  .put("prefill_tokens_per_second", prefill)
                  .put("decode_tokens_per_second", decode)));
    } else {
      console.result("");
      console.note(
          String.format(
              Locale.ROOT,
              "%d tokens read at %.0f/s, %d written at %.1f/s",
              promptTokens,
              prefill,
              generated,
              decode));
    }
  }
}
