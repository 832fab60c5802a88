// Asking for a plan and printing it: what the commands of `tsswarm plan` have in common.
import { ControlService, type PlanRequest } from '../proto/gen/tsswarm/v1/control.ts'
import { printWarnings } from './common.ts'
import type { CommandContext } from './context.ts'
import { text } from './flags.ts'
import { renderInspect } from './render/inspect-format.ts'
import { planJson, planText } from './render/plan.ts'

export const planFlags = {
  format: text("Format output: 'json', or a Go template", { short: 'f' }),
}

/** Prints what the action would do. Returns 1 when it would leave a task without a node. */
export async function printPlan(
  ctx: CommandContext,
  action: NonNullable<PlanRequest['action']>,
  format: string | undefined,
): Promise<number> {
  const client = await ctx.connect()
  const answer = await client.call(ControlService.plan, { action })
  printWarnings(ctx, answer.warnings)
  ctx.stdout.write(
    format === undefined ? planText(answer) : renderInspect([planJson(answer)], format),
  )
  return answer.tasks.some(({ kind }) => kind === 'unplaceable') ? 1 : 0
}
