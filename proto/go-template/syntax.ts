// The syntax tree of a Go template as docker users write them in --format. Data only.

/** What an operand may be; `path` are the field names that follow it, as in `.Spec.Labels`. */
export type Operand =
  | { readonly kind: 'dot'; readonly path: readonly string[] }
  | { readonly kind: 'variable'; readonly name: string; readonly path: readonly string[] }
  | { readonly kind: 'literal'; readonly value: string | number | boolean | undefined }
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'pipeline'; readonly pipeline: Pipeline; readonly path: readonly string[] }

/** A function with its arguments, or a single value. */
export interface Command {
  readonly operands: readonly Operand[]
}

/** Commands joined by `|`; each result becomes the last argument of the next one. */
export interface Pipeline {
  /** Names after `:=` or `=`, without `$`; empty: the value is printed. */
  readonly names: readonly string[]
  /** `:=` makes variables, `=` sets existing ones. */
  readonly declares: boolean
  readonly commands: readonly Command[]
}

export type TemplateNode =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'action'; readonly pipeline: Pipeline }
  | { readonly kind: 'break' }
  | { readonly kind: 'continue' }
  | {
      readonly kind: 'if' | 'with' | 'range'
      readonly pipeline: Pipeline
      readonly body: readonly TemplateNode[]
      readonly otherwise: readonly TemplateNode[]
    }

export type Template = readonly TemplateNode[]
