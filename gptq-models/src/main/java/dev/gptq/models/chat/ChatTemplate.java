package dev.gptq.models.chat;

import com.google.common.collect.ImmutableMap;
import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.LegacyOverrides;
import com.hubspot.jinjava.interpret.FatalTemplateErrorsException;
import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.lib.exptest.ExpTest;
import com.hubspot.jinjava.lib.filter.Filter;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.models.tokenizer.SpecialTokens;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneId;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The text of a conversation with its roles and special tokens, as {@code chat_template.jinja} or
 * {@code tokenizer_config.json} of a model says. Templates are programs in the language of Jinja 2;
 * they run without access to anything but the conversation, and their output is bounded.
 */
public final class ChatTemplate {
  /** The file of a template; where it is missing the tokenizer's configuration may hold one. */
  private static final String FILE = "chat_template.jinja";

  private static final String KEY = "chat_template";

  /** A conversation is a few pages; a template that writes more runs wild. */
  private static final int MOST_CHARACTERS = 1 << 24;

  private final Path file;
  private final String template;
  private final ImmutableMap<String, String> specialTokens;
  private final Jinjava jinja;

  private ChatTemplate(Path file, String template, ImmutableMap<String, String> specialTokens) {
    this.file = file;
    JinjaDialect dialect = JinjaDialect.of(template);
    this.template = dialect.text();
    this.specialTokens = specialTokens;
    this.jinja = new Jinjava(configuration());
    var context = jinja.getGlobalContext();
    context.registerFunction(
        new ELFunctionDefinition(
            "", "raise_exception", ChatTemplate.class, "refuse", String.class));
    context.registerFunction(
        new ELFunctionDefinition("", "strftime_now", ChatTemplate.class, "today", String.class));
    context.registerFilter(new PythonJson());
    context.registerFilter(new Items());
    // Jinjava passes over those that it does not know.
    for (String filter : dialect.filters()) {
      if (context.getFilter(filter) == null) {
        context.registerFilter(new UnknownFilter(filter));
      }
    }
    for (String test : dialect.tests()) {
      if (context.getExpTest(test) == null) {
        context.registerExpTest(new UnknownTest(test));
      }
    }
  }

  /** As transformers sets Jinja up: blocks take the line that they stand on with them. */
  private static JinjavaConfig configuration() {
    return JinjavaConfig.newBuilder()
        .withTrimBlocks(true)
        .withLstripBlocks(true)
        .withMaxOutputSize(MOST_CHARACTERS)
        .withMaxStringLength(MOST_CHARACTERS)
        .withRangeLimit(100_000)
        .withNestedInterpretationEnabled(false)
        .withElResolver(new PythonStrings())
        .withLegacyOverrides(
            LegacyOverrides.newBuilder()
                .withEvaluateMapKeys(true)
                .withIterateOverMapKeys(true)
                .withUsePyishObjectMapper(true)
                .withUseTrimmingForNotesAndExpressions(true)
                .withParseWhitespaceControlStrictly(true)
                .withKeepNullableLoopValues(true)
                .withHandleBackslashInQuotesOnly(true)
                .build())
        .build();
  }

  /** The template of a checkpoint folder, if there is one. */
  public static Optional<ChatTemplate> find(Path folder) throws IOException {
    Path file = folder.resolve(FILE);
    Path origin = Files.isRegularFile(file) ? file : folder.resolve(SpecialTokens.FILE);
    ImmutableMap<String, String> tokens = SpecialTokens.read(folder).texts();
    return text(folder).map(text -> new ChatTemplate(origin, text, tokens));
  }

  /** Its text as the folder has it. */
  public static Optional<String> text(Path folder) throws IOException {
    Path file = folder.resolve(FILE);
    if (Files.isRegularFile(file)) {
      return Optional.of(Files.readString(file));
    }
    Path config = folder.resolve(SpecialTokens.FILE);
    return Files.isRegularFile(config)
        ? JsonConfig.read(config).find(KEY).map(node -> source(config, node))
        : Optional.empty();
  }

  /** One template, or the one called default of several. */
  private static String source(Path file, JsonNode node) {
    if (node.isString()) {
      return node.stringValue();
    }
    for (JsonNode named : node) {
      if (named.path("name").asString("").equals("default") && named.path("template").isString()) {
        return named.path("template").stringValue();
      }
    }
    throw new BadInputException(
        "%s: '%s' is neither a template nor a list with one called default; download it again"
            .formatted(file, KEY));
  }

  /**
   * The text of a conversation.
   *
   * @param messages objects with {@code role} and {@code content}, and whatever else the template
   *     knows
   * @param prompt whether the model is to answer next, so that the text ends where its answer
   *     begins
   * @throws BadInputException if the template refuses them or asks for what is not supported
   */
  public String render(JsonNode messages, boolean prompt) {
    Map<String, Object> values = new HashMap<>(specialTokens);
    values.put("messages", JsonMapper.shared().convertValue(messages, List.class));
    values.put("add_generation_prompt", prompt);
    // Templates ask whether this function is there before they call it.
    values.put("strftime_now", true);
    RenderResult result;
    try {
      result = jinja.renderForResult(template, values);
    } catch (FatalTemplateErrorsException e) {
      throw failed(e.getMessage(), e);
    }
    if (result.hasErrors()) {
      var error = result.getErrors().getFirst();
      throw failed(error.getMessage(), error.getException());
    }
    return result.getOutput();
  }

  private BadInputException failed(String reason, Throwable cause) {
    for (Throwable e = cause; e != null; e = e.getCause()) {
      if (e instanceof Refusal refusal) {
        return new BadInputException(
            "%s refuses the conversation: %s".formatted(file, refusal.getMessage()), cause);
      }
    }
    return new BadInputException(
        "%s: the chat template cannot be run (%s); give text without conversations"
            .formatted(file, reason),
        cause);
  }

  /** What a template calls to refuse a conversation. */
  @SuppressWarnings("DoNotCallSuggester") // It is called by name, from a template.
  public static String refuse(String reason) {
    throw new Refusal(reason);
  }

  /** What a template calls for the date, such as {@code %d %b %Y}. */
  public static String today(String format) {
    return Dates.format(format, LocalDate.now(ZoneId.systemDefault()));
  }

  private record UnknownFilter(String getName) implements Filter {
    @Override
    public Object filter(Object value, JinjavaInterpreter interpreter, String... arguments) {
      throw new UnsupportedOperationException("the filter '" + getName + "' is not known");
    }
  }

  private record UnknownTest(String getName) implements ExpTest {
    @Override
    public boolean evaluate(Object value, JinjavaInterpreter interpreter, Object... arguments) {
      throw new UnsupportedOperationException("the test '" + getName + "' is not known");
    }
  }

  private static final class Refusal extends RuntimeException {
    private static final long serialVersionUID = 1;

    Refusal(String reason) {
      super(reason);
    }
  }
}
