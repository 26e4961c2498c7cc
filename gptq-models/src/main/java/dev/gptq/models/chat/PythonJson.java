package dev.gptq.models.chat;

import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.filter.Filter;
import java.util.Map;
import tools.jackson.core.util.DefaultIndenter;
import tools.jackson.core.util.DefaultPrettyPrinter;
import tools.jackson.core.util.Separators;
import tools.jackson.core.util.Separators.Spacing;
import tools.jackson.databind.json.JsonMapper;

/** The filter {@code tojson} with the spaces that Python's JSON has, which models were shown. */
final class PythonJson implements Filter {
  @Override
  public String getName() {
    return "tojson";
  }

  @Override
  public Object filter(
      Object value,
      JinjavaInterpreter interpreter,
      Object[] arguments,
      Map<String, Object> namedArguments) {
    boolean indented = namedArguments.get("indent") instanceof Number;
    DefaultPrettyPrinter printer =
        new DefaultPrettyPrinter(
            Separators.createDefaultInstance()
                .withObjectNameValueSpacing(Spacing.AFTER)
                .withObjectEntrySpacing(indented ? Spacing.NONE : Spacing.AFTER)
                .withArrayElementSpacing(indented ? Spacing.NONE : Spacing.AFTER)
                .withObjectEmptySeparator("")
                .withArrayEmptySeparator(""));
    if (namedArguments.get("indent") instanceof Number spaces) {
      DefaultIndenter lines = new DefaultIndenter(" ".repeat(spaces.intValue()), "\n");
      printer = printer.withObjectIndenter(lines).withArrayIndenter(lines);
    } else {
      DefaultPrettyPrinter.Indenter none = DefaultPrettyPrinter.NopIndenter.instance();
      printer = printer.withObjectIndenter(none).withArrayIndenter(none);
    }
    return JsonMapper.shared().writer().with(printer).writeValueAsString(value);
  }

  @Override
  public Object filter(Object value, JinjavaInterpreter interpreter, String... arguments) {
    return filter(value, interpreter, arguments, Map.of());
  }
}
