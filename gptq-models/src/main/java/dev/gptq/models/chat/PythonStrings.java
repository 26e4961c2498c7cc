package dev.gptq.models.chat;

import com.google.common.base.CharMatcher;
import com.hubspot.jinjava.el.JinjavaInterpreterResolver;
import com.hubspot.jinjava.objects.collections.PyList;
import java.beans.FeatureDescriptor;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import jinjava.javax.el.CompositeELResolver;
import jinjava.javax.el.ELContext;
import jinjava.javax.el.ELResolver;

/** Methods of Python's strings, which templates call and Java's strings lack or call otherwise. */
final class PythonStrings extends CompositeELResolver {
  PythonStrings() {
    add(new Methods());
    add(JinjavaInterpreterResolver.DEFAULT_RESOLVER_READ_ONLY);
  }

  private static final class Methods extends ELResolver {
    @Override
    public Object invoke(
        ELContext context, Object base, Object method, Class<?>[] types, Object[] arguments) {
      if (!(base instanceof String text)) {
        return null;
      }
      Object result = call(text, method.toString(), arguments);
      context.setPropertyResolved(result != null);
      return result;
    }

    private static Object call(String text, String method, Object[] arguments) {
      String first = arguments.length > 0 && arguments[0] != null ? arguments[0].toString() : null;
      CharMatcher trimmed = first == null ? CharMatcher.whitespace() : CharMatcher.anyOf(first);
      return switch (method) {
        case "strip" -> trimmed.trimFrom(text);
        case "lstrip" -> trimmed.trimLeadingFrom(text);
        case "rstrip" -> trimmed.trimTrailingFrom(text);
        case "startswith" -> first == null ? null : text.startsWith(first);
        case "endswith" -> first == null ? null : text.endsWith(first);
        case "split" -> first == null ? null : split(text, first, most(arguments));
        case "format" -> format(text, arguments);
        default -> null;
      };
    }

    private static int most(Object[] arguments) {
      return arguments.length > 1 && arguments[1] instanceof Number number && number.intValue() >= 0
          ? number.intValue()
          : Integer.MAX_VALUE;
    }

    private static PyList split(String text, String separator, int most) {
      List<Object> parts = new ArrayList<>();
      int from = 0;
      for (int i = 0; i < most && !separator.isEmpty(); i++) {
        int at = text.indexOf(separator, from);
        if (at < 0) {
          break;
        }
        parts.add(text.substring(from, at));
        from = at + separator.length();
      }
      parts.add(text.substring(from));
      return new PyList(parts);
    }

    /** Only bare fields, in order. */
    private static String format(String text, Object[] arguments) {
      StringBuilder result = new StringBuilder();
      int from = 0;
      for (Object argument : arguments) {
        int at = text.indexOf("{}", from);
        if (at < 0) {
          break;
        }
        result.append(text, from, at).append(argument);
        from = at + 2;
      }
      return result.append(text.substring(from)).toString();
    }

    @Override
    public Object getValue(ELContext context, Object base, Object property) {
      return null;
    }

    @Override
    public Class<?> getType(ELContext context, Object base, Object property) {
      return null;
    }

    @Override
    public void setValue(ELContext context, Object base, Object property, Object value) {
      // Strings have nothing to set; the resolvers behind this one refuse.
    }

    @Override
    public boolean isReadOnly(ELContext context, Object base, Object property) {
      return true;
    }

    @Override
    public Iterator<FeatureDescriptor> getFeatureDescriptors(ELContext context, Object base) {
      return null;
    }

    @Override
    public Class<?> getCommonPropertyType(ELContext context, Object base) {
      return null;
    }
  }
}
