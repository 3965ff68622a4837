/** What a post-mortem thread is asked and what it answers. */
import type { AuditRequest } from '../../engine/audit/answer.ts';
import type { CodedError } from '../request.ts';
import type { DiagnosisRequest } from './diagnose.ts';
import type { StepRequest } from './explain-step.ts';

/** By the name of the question. Every answer is a text: large ones are written in the thread, too. */
export interface PostMortemQuestions {
  audit_gradients: AuditRequest;
  explain_step: StepRequest;
  diagnose: DiagnosisRequest;
}

export type QuestionName = keyof PostMortemQuestions;

export type ToPostMortem = {
  [Q in QuestionName]: { readonly id: number; readonly name: Q; readonly asked: PostMortemQuestions[Q] };
}[QuestionName];

export type FromPostMortem =
  | { readonly id: number; readonly answer: string; readonly error?: never }
  | { readonly id: number; readonly answer?: never; readonly error: CodedError };
