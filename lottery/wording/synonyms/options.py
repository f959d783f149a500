"""What groups and their options are called elsewhere."""

from lottery.wording.synonyms.answer import Answer

GROUPS = {
    "model": "arch net network architecture backbone model_name model_type model_arch models nn archi arch_type arch_name net_type netname net_name "
    "network_name student",
    "dataset": "ds dataset_name datasets data_set data_name data_type datamodule dset task",
    "prune": "method pruner algorithm algo strategy pruning pruning_method prune_method pruning_strategy "
    "prune_strategy pruning_algorithm prune_type pruning_type criterion prune_criterion methods importance pruner_name",
    "train/optimizer": "optimizer optim optimiser opt optimizer_name optimizer_type solver",
    "train/lr": "scheduler lr_scheduler lr_schedule sched lr_sched lr_policy lr_decay lr_scheduler_type learning_rate_schedule "
    "lrschedule",
    "train": "recipe hparams hyperparameters training_config",
    "prune/structure": "granularity sparsity_type sparsity_pattern pattern unit pruning_granularity prune_granularity",
    "prune/allocation": "distribution sparsity_distribution scope sparsity_init mask_scope pruning_scope prune_scope",
    "prune/update": "dst sparse_update growth dynamic",
    "rewind": "reset rewinding rewind_type rewind_strategy ticket mask mask_path ticket_path",
    "schedule": "sparsity_schedule compression_schedule pruning_schedule prune_schedule density_schedule",
    "experiment": "preset",
    "log": "logger loggers report_to tracker tracking log_with log_to",
    "branch": "controls control branches",
    "host": "machine",
}  # fmt: skip
OPTIONS = {  # what an option is called elsewhere; where it has no other meaning
    "prune": {
        "imp": "lth lottery lottery_ticket lottery_ticket_hypothesis iterative iterative_magnitude "
        "iterative_magnitude_pruning itermag iterative_pruning lt sparse_global winning_ticket winning_tickets iterative_magnitude_prune",
        "oneshot": "one_shot_magnitude omp single_shot_magnitude magnitude_oneshot one_shot_pruning",
        "random": "rand random_pruning random_unstructured randompruning",
        "magnitude_init": "magnitude_at_init mag_init",
        "snip_iterative": "iterative_snip iter_snip ip_snip snip_it",
        "bn_scale": "network_slimming slimming net_slim bn bn_gamma",
        "obd": "optimal_brain_damage hessian_diagonal",
        "fisher": "empirical_fisher woodfisher",
        "taylor": "taylor_fo first_order taylor_expansion",
        "edge_popup": "edgepopup popup hidden_subnetwork",
        "snip": "connection_sensitivity",
        "early_bird": "eb early_bird_tickets ebt",
    },
    "model": {
        "lenet_300_100": "lenet300 lenet_300",
        "lenet5": "lenet_5_caffe lenet_conv",
        "mobilenet_v1": "mobilenet1 mobilenet_1",
        "densenet40": "densenet_40_12 densenet40_12",
        "wrn16_8": "wideresnet16_8 wide_resnet16_8 wide_resnet_16_8",
        "wrn22_8": "wideresnet22_8 wide_resnet22_8",
        "wrn28_10": "wideresnet28_10 wide_resnet28_10 wide_resnet_28_10",
        "vgg16": "vgg_d",
        "vgg19": "vgg_e",
        "vit": "vision_transformer visiontransformer",
    },
    "dataset": {
        "imagenet": "imagenet1k imagenet_1k ilsvrc ilsvrc2012 ilsvrc12 imagenet2012 in1k",
        "fashion_mnist": "fmnist fashion",
        "tiny_imagenet": "tiny tiny_imagenet200 tin",
        "image_folder": "folder images",
        "synthetic": "fake fake_data dummy toy",
        "digits": "sklearn_digits load_digits uci_digits",
    },
    "schedule": {"geometric": "exponential exp geom multiplicative", "compression": "log powers powers_of_ten synflow"},
    "rewind": {
        "init": "initial initialization initialisation step0 original_init to_init",
        "finetune": "fine_tuning finetuning ft fine_tune",
        "lr": "learning_rate lr_rewind learning_rate_rewinding lrr",
        "reinit": "reinitialize reinitialise random_reinit re_init",
        "ticket": "pretrained_ticket transfer",
        "scored": "moment found early_bird",
    },
    "train/optimizer": {"sgd": "momentum sgd_momentum", "adamw": "adam_w"},
    "train/lr": {
        "cosine": "cosine_annealing cosineannealinglr cosine_decay cosine_lr cos",
        "milestones": "step multistep multisteplr steplr step_lr multi_step piecewise step_decay",
        "linear": "linearlr linear_decay poly polynomial polynomiallr",
        "constant": "constantlr fixed none flat null",
        "triangular": "onecycle one_cycle onecyclelr cyclic cycliclr",
    },
    "prune/structure": {
        "weight": "unstructured weights single fine_grained element",
        "filter": "filters kernel",
        "channel": "channels structured",
        "neuron": "neurons unit node",
        "n_m": "nm semi_structured semistructured 2:4 1:4 4:8 n:m",
        "block": "blocks blockwise",
    },
    "prune/allocation": {
        "globally": "global global_unstructured",
        "layerwise": "local layer_wise per_layer layer",
        "erk": "erdos_renyi_kernel erdos_renyi er",
        "uniform": "same equal",
    },
    "prune/update": {"static": "none fixed off false"},
    "figure": {
        "accuracy": "test performance tradeoff pareto metric perplexity ppl error", "curves": "loss training learning learning_curve train",
        "layers": "sparsity density layerwise remaining", "cost": "flops time speed macs",
        "overlap": "masks mask iou jaccard similarity", "filters": "kernels kernel", "weights": "histogram hist distribution",
        "early_stop": "early_stopping earlystopping",
    },
    "log": {"tensorboard": "tb tensor_board", "wandb": "weights_and_biases wb w_and_b", "mlflow": "ml_flow"},
    "branch": {"reinit": "random_reinit reinitialize", "shuffle": "shuffled permute"},
}  # fmt: skip
CHOICES: dict[str, dict[str, Answer]] = {  # words of a group that may be several options, or none
    "prune": {
        "magnitude mag l1_unstructured l1_norm weight_magnitude abs magnitude_pruning unstructured global_magnitude": (
            "magnitude is scored at three moments",
            [("prune=imp", "level after level, each trained"), ("prune=oneshot", "each density from the trained dense net"),
             ("prune=magnitude_init", "before training")],
        ),
        "l1 l2 ln": (
            "norms of weights are magnitude, norms of filters a structure",
            [("prune=imp", "single weights"), ("prune=imp prune/structure=filter", "filters")],
        ),
        "global global_unstructured globally": (
            "where the density goes is prune/allocation", [("prune=imp prune/allocation=globally", "")]
        ),
        "local layerwise per_layer layer_wise": (
            "where the density goes is prune/allocation", [("prune=imp prune/allocation=layerwise", "")]
        ),
        "structured channel channels": ("what goes together is prune/structure", [("prune=imp prune/structure=channel", "")]),
        "filter filters l1_structured ln_structured filter_pruning": (
            "what goes together is prune/structure", [("prune=imp prune/structure=filter", "")]
        ),
        "neuron neurons": ("what goes together is prune/structure", [("prune=imp prune/structure=neuron", "")]),
        "2:4 nm n_m n:m semi_structured 1:4": ("what goes together is prune/structure", [("prune=imp prune/structure=n_m", "2 of 4")]),
        "erk er erdos_renyi": ("where the density goes is prune/allocation", [("prune=random prune/allocation=erk", "")]),
        "uniform": ("where the density goes is prune/allocation", [("prune=random prune/allocation=uniform", "")]),
        "none no null false off dense baseline nothing identity": ("the dense net alone is level 0", [("levels=0", "")]),
        "gradient gradients grad sensitivity": ("gradients score in several methods", [("prune=snip", "before training"), ("prune=taylor", "after it")]),
        "lrr lr_rewinding learning_rate_rewinding": ("how a level starts is rewind", [("prune=imp rewind=lr", "")]),
        "finetune fine_tune finetuning": ("how a level starts is rewind", [("prune=imp rewind=finetune", "")]),
        "late_resetting late_rewinding rewinding rewind": ("how a level starts is rewind", [("prune=imp rewind=step rewind.to=1ep", "")]),
        "dst dynamic sparse_training": ("masks change in training in two of them", [("prune=rigl", "by gradients"), ("prune=set", "at random")]),
        "gmp gradual agp automated_gradual": ("the nearest prunes level after level and goes on training", [("prune=imp rewind=finetune", "")]),
        "obs optimal_brain_surgeon hessian second_order": ("the second order is a diagonal here", [("prune=obd", "Hessian"), ("prune=fisher", "Fisher")]),
    },
    "model": {
        "resnet": ("resnets are several", [("model=resnet20", "for CIFAR"), ("model=resnet18", "for 64 pixels and more")]),
        "vgg": ("vggs are several", [("model=vgg16", ""), ("model=vgg16_bn", "its BatchNorm variant")]),
        "lenet": ("lenets are two", [("model=lenet_300_100", "linear layers"), ("model=lenet5", "convolutions")]),
        "mlp fc fc1 fcn dense perceptron linear fully_connected feedforward": (
            "perceptrons are one model", [("model=lenet_300_100 'model.hidden=[300,100]'", "")]
        ),
        "cnn conv convnet simple_cnn simplecnn small_cnn convolutional": (
            "small convolutional nets are several", [("model=conv2", ""), ("model=conv4", ""), ("model=lenet5", "")]
        ),
        "wrn wide_resnet wideresnet": ("wide resnets are several", [("model=wrn16_8", ""), ("model=wrn28_10", "")]),
        "mobilenet": ("mobilenets are several", [("model=mobilenet_v1", ""), ("model=torchvision model.net=mobilenet_v2", "")]),
        "densenet": ("densenets are several", [("model=densenet40", "for CIFAR"), ("model=torchvision model.net=densenet121", "")]),
        "bert_base bert_large bert_base_uncased bert_base_cased bert_large_uncased roberta roberta_base electra albert": (
            "which BERT it is says a folder", [("model=bert model.path=FOLDER dataset=phrases", "as transformers saves it"), ("dataset=phrases", "a small one from nothing")]
        ),
        "sentence_transformers sbert all_minilm_l6_v2 all_minilm": ("it is one out of a package", [("model=minilm dataset=phrases", "or another data set of sentences")]),
        "gpt gpt2 gru rnn unet llama t5 distilbert wav2vec gcn": (
            "there is no such net here; docs/add-a-model.md adds one of your own", [("", "")]
        ),
        "lstm": ("it is for texts", [("model=lstm_lm dataset=python_docs", "")]),
        "deit deit_tiny deit_small deit_base deit_tiny_patch16_224 deit_small_patch16_224 deit_base_patch16_224 vit_tiny vit_small "
        "vit_tiny_patch16_224 vit_small_patch16_224 vit_base_patch16_224 beit cait crossvit": (
            "timm has it", [("model=timm model.net=deit_tiny_patch16_224 model.patch=4", "or another name there; patches of 4x4 pixels"), ("model=vit", "for small images")]
        ),
        "custom mine my_model mymodel own huggingface hf": (
            "docs/add-a-model.md adds one of your own, in a file and a yaml", [("model=torchvision model.net=resnet50", "or a net of torchvision")]
        ),
    },
    "dataset": {
        "cifar": ("cifars are two", [("dataset=cifar10", ""), ("dataset=cifar100", "")]),
        "custom mine own my_dataset mydata local torchvision huggingface hf": ("your own pictures lie in a folder", [("dataset=image_folder dataset.path=DIR", "")]),
        "kmnist emnist qmnist stl10 flowers food101 pets cub cars caltech101 places365 coco celeba svhn_extra usps flowers102": (
            "this one is not brought; its pictures can be a folder", [("dataset=image_folder dataset.path=DIR", "")]
        ),
        "sst2 sst_2 cola mrpc qqp stsb sts_b mnli qnli rte wnli": (
            "GLUE is one data set of nine tasks", [("dataset=glue dataset.task=sst2 dataset.path=FOLDER", "")]
        ),
        "imdb sst sst5 yelp ag_news amazon tweets csv tsv jsonl sentences": ("sentences of your own are a table", [("dataset=text dataset.path=FILE", "")]),
        "nli snli paws pairs": ("pairs of sentences of your own are a table", [("dataset=text_pairs dataset.path=FILE", "")]),
        "random noise": ("made-up images are one data set", [("dataset=synthetic", "")]),
    },
    "schedule": {
        "oneshot one_shot single constant one": ("one density is a list of one", [("schedule=listed 'schedule.densities=[0.1]'", "")]),
        "cosine cosine_annealing step multistep milestones onecycle warmup triangular lr": (
            "schedule is that of densities; that of the learning rate is train/lr",
            [("train/lr=cosine", ""), ("train/lr=milestones", "")],
        ),
        "cubic polynomial agp custom list densities given": ("densities can be listed", [("schedule=listed 'schedule.densities=[0.5,0.2,0.1]'", "")]),
    },
    "rewind": {
        "weights weight w values": (
            "the weights can go back to two points",
            [("rewind=init", "initialization"), ("rewind=step rewind.to=1ep", "early in training")],
        ),
        "late late_resetting late_rewinding early epoch k iteration it weight_rewinding warmup": (
            "late resetting goes back to a step", [("rewind=step rewind.to=1ep", "")]
        ),
        "none no null false off keep continue": ("without rewinding the trained weights stay", [("rewind=finetune", "")]),
        "true yes on": ("there are several rewind points", [("rewind=init", "initialization"), ("rewind=step rewind.to=1ep", "early in training")]),
        "random": ("weights can be drawn anew", [("rewind=reinit", "")]),
    },
    "train/optimizer": {
        "rmsprop adagrad adadelta adamax nadam lion lamb lars lbfgs adafactor radam muon rprop": (
            "this optimizer is not brought", [("train/optimizer=sgd", ""), ("train/optimizer=adam", ""), ("train/optimizer=adamw", "")]
        ),
        "nesterov nag": ("Nesterov is a setting of SGD", [("train/optimizer=sgd train.optimizer.nesterov=true", "")]),
    },
    "train/lr": {
        "exponential exponentiallr exp": ("the nearest are these", [("train/lr=cosine", ""), ("train/lr=milestones", "")]),
        "plateau reducelronplateau reduce_on_plateau": ("drops come at fixed steps", [("train/lr=milestones", "")]),
        "warmup warmup_cosine linear_warmup cosine_warmup cosine_with_warmup linear_with_warmup": (
            "warm-up goes before any schedule", [("train/lr=cosine train.warmup=1ep", "")]
        ),
    },
    "log": {
        "csv file json stdout console": ("every number is written as CSV anyway", [("log=[]", "")]),
        "none no false off null": ("no board is an empty list", [("log=[]", "")]),
        "all true many many_loggers default": ("boards are a list", [("log=[tensorboard]", "")]),
        "comet neptune clearml aim dvclive swanlab": (
            "this board is not brought; docs/add-a-logger.md adds one", [("log=[tensorboard]", ""), ("log=[wandb]", ""), ("log=[mlflow]", "")]
        ),
    },
    "branch": {
        "none no false off null": ("no control is an empty list", [("branch=[]", "")]),
        "all true": ("controls are a list", [("branch=[shuffle,reinit,random]", "")]),
    },
    "experiment": {
        "lth lottery_ticket example default baseline mnist cifar10 singleshot": ("presets name a net and data", [("experiment=lth_lenet_mnist", "")]),
        "none false off no": ("no preset is the default", [("", "")]),
    },
}  # fmt: skip
TORCHVISION = {  # what is asked for -> a net of torchvision
    "resnet50": "", "resnet101": "", "resnet152": "", "alexnet": "", "googlenet": "", "inception_v3": "inception",
    "squeezenet1_1": "squeezenet", "shufflenet_v2_x1_0": "shufflenet shufflenet_v2", "mobilenet_v2": "",
    "mobilenet_v3_large": "mobilenet_v3", "mobilenet_v3_small": "", "efficientnet_b0": "efficientnet effnet",
    "efficientnet_v2_s": "efficientnet_v2", "convnext_tiny": "convnext", "vit_b_16": "vit_base vit_b transformer",
    "vit_b_32": "", "vit_l_16": "vit_large", "swin_t": "swin swin_transformer", "swin_v2_t": "swin_v2", "densenet121": "", "densenet169": "",
    "densenet201": "", "resnext50_32x4d": "resnext resnext50", "wide_resnet50_2": "wide_resnet50 wrn50_2", "regnet_y_400mf": "regnet",
    "mnasnet1_0": "mnasnet", "maxvit_t": "maxvit",
}  # fmt: skip
