// tsswarm secret create
import { createCommand } from '../payload-commands.ts'

export const command = createCommand('secret')
