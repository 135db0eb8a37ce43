#!/usr/bin/env bash
# EmotionTTS open DB (studio speech, CC BY-NC-SA 4.0): the imported Kaldi model adapted, and systems from scratch.
#   bash recipes/emotiontts/run.sh [--corpus DIR] [--stage N] [--stop-stage M]
# Stages: 0 corpus, 1 data, 2 adapt an imported Kaldi model, 10 monophones, 11 triphones, 12 LDA+MLLT,
# 13 SAT, 14 DNN by cross-entropy, 20 i-vector extractor, 21 TDNN-F by LF-MMI, 22 pre-trained
# encoder by LF-MMI, 23 a wider search for it, 30 decode, 31 score, 40 RESULTS.md. What is done
# already is skipped.
#   --corpus DIR      the corpus as published (default: downloaded)
#   --work DIR        for all that is made (build/emotiontts)
#   --nj N            processor threads, and sounds recognised at once (2)
#   --device D        cpu, cuda or cuda:N, for networks (cpu)
#   --init MODEL      the model that is adapted (ko-kaldi)
#   --guard DATA      speech that adaptation must not make it forget: a data directory
#   --phone-text FILE sentences, one a line, of what else people say: helps adaptation
#   --pretrain HOW    networks begin with what they learn of speech without texts: none, rbm or
#                     autoencoder (14), masked (21)
#   --untranscribed DATA   further speech for that: a data directory
#   --sets "S..."     what is decoded: "dev test"; dev alone while you try things out
#   --systems "S..."  which are decoded: "before adapted mono tri lda sat dnn chain encoder
#                     encoder-wide"
#   --conf DIR        options of training (recipes/emotiontts/conf)
#   --limit-utterances N   only the first N of each split, to see whether all works; the results
#                     then stay in the work folder
#   --results FILE    where the table goes (recipes/emotiontts/RESULTS.md): for some systems alone, say
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
recipe=recipes/emotiontts
title="EmotionTTS open DB"
corpora=(emotiontts)
. recipes/common/real_speech.sh
